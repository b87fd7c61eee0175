"""The console over HTTP: headers, types, caching, and that no page needs anything from elsewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

import voxfleet.console
from voxfleet.console.routes import MEDIA_TYPES, routes, security_headers

STATIC = Path(voxfleet.console.__file__).parent / "static"
FILES = sorted(path.name for path in STATIC.iterdir())
PAGES = ["/", "/operator"]
NAMESPACES = {"http://www.w3.org/2000/svg"}


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=routes()), base_url="http://console.example:8443")


@pytest.mark.parametrize("path", [*PAGES, *(f"/static/{name}" for name in FILES), "/static/nothing.js"])
def test_every_answer_carries_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self' ws://console.example:8443 wss://console.example:8443",
        "worker-src": "'self'",
        "media-src": "'self' blob:",
        "img-src": "'self' data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "host", [None, "", "a b", "a; script-src *", "evil.example 'unsafe-inline'", "a,b", "a/b", "h:999999", "é"]
)
def test_a_host_that_is_not_one_stays_out_of_the_policy(host: str | None) -> None:
    policy = security_headers(host)["content-security-policy"]
    assert "connect-src 'self';" in policy


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "voice.example.org"])
def test_sockets_may_go_to_this_host_only(host: str) -> None:
    assert f"connect-src 'self' ws://{host} wss://{host};" in security_headers(host)["content-security-policy"]


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_html(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text.startswith("<!doctype html>")
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405


@pytest.mark.parametrize("name", FILES)
def test_static_files_have_their_type_and_body(client: TestClient, name: str) -> None:
    answer = client.get(f"/static/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == MEDIA_TYPES[Path(name).suffix]
    assert answer.content == (STATIC / name).read_bytes()


def test_an_unchanged_file_is_not_sent_again(client: TestClient) -> None:
    etag = client.get("/static/try.js").headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        again = client.get("/static/try.js", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert client.get("/static/try.js", headers={"if-none-match": '"other"'}).status_code == 200
    assert client.get("/", headers={"if-none-match": etag}).status_code == 200


@pytest.mark.parametrize("path", ["nothing.js", "../routes.py", "..%2froutes.py", "%2e%2e/routes.py", "try.js/", ""])
def test_other_files_are_not_found(client: TestClient, path: str) -> None:
    answer = client.get(f"/static/{path}")
    assert answer.status_code == 404
    assert b"import" not in answer.content


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_another_host(name: str) -> None:
    text = (STATIC / name).read_text(encoding="utf-8")
    assert set(re.findall(r"\b(?:https?|wss?)://[^\s\"'`<>)]+", text)) <= NAMESPACES
    assert not re.search(r"""["'(]//\w""", text)
    assert "@import" not in text


class Inline(HTMLParser):
    """Finds what the policy would refuse: scripts and styles inside the page; and collects what it refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []
        self.referred: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.refused += [f"{tag} {name}" for name in given if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.refused.append(tag)
        self.referred += [value for name, value in attrs if name in ("src", "href") and value]
        self.ids += [value for name, value in attrs if name == "id" and value]


@pytest.mark.parametrize("path", PAGES)
def test_pages_hold_no_script_or_style_and_refer_to_what_exists(client: TestClient, path: str) -> None:
    found = Inline()
    found.feed(client.get(path).text)
    assert found.refused == []
    assert len(found.ids) == len(set(found.ids))
    for reference in found.referred:
        if reference.startswith("#"):
            assert reference[1:] in found.ids
        else:
            assert client.get(f"/{reference.removeprefix('./')}").status_code == 200, reference


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
def test_scripts_import_what_exists_and_make_no_globals(name: str) -> None:
    text = (STATIC / name).read_text(encoding="utf-8")
    assert all((STATIC / module).exists() for module in re.findall(r'from "\./([^"]+)"', text))
    assert not re.search(r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|new Function)\b", text)
    assert not re.search(r"\b(window|globalThis|self)\.\w+ = ", text)
    assert text.startswith("/**"), "a module opens with what it is"
