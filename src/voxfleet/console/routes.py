"""The console over HTTP: which files are served, under which paths, and what the browser may do with them.

The pages are static files of this package. They reach the server through its public API only (`v1/models`,
`v1/stream`, `v1/status`, relative to where they are mounted), so this file knows nothing of the gateway.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

PAGES: Mapping[str, str] = {"/": "try.html", "/operator": "operator.html"}
"""Path of each page and the file it is."""

MEDIA_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""What may lie in `static/`. A file of another kind is an error at start-up, not a guess of the browser."""

_HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "cache-control": "no-cache",
}

_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is served."""

    body: bytes
    media_type: str
    etag: str


def routes() -> list[BaseRoute]:
    """The console's routes: `/`, `/operator` and `/static/...`. Files are read once, here; they are small."""
    assets = _read()

    def page(path: str, file: str) -> Route:
        async def show(request: Request) -> Response:
            return _answer(request, assets[file])

        return Route(path, show, name=f"console-{PurePosixPath(file).stem}")

    async def static(request: Request) -> Response:
        asset = assets.get(request.path_params["name"])
        if asset is None:
            return PlainTextResponse("no such file\n", 404, headers=security_headers(request.headers.get("host")))
        return _answer(request, asset)

    return [
        *(page(path, file) for path, file in PAGES.items()),
        Route("/static/{name:path}", static, name="console-static"),
    ]


def security_headers(host: str | None) -> dict[str, str]:
    """The headers of every answer. `host` is the request's Host header.

    `connect-src 'self'` covers WebSockets of the same host in today's browsers; older ones (Safari before 15.4) need
    the host spelled out. A Host header that is not plainly a host is left out rather than put into a policy.
    """
    sockets = f" ws://{host} wss://{host}" if host and _HOST.fullmatch(host) else ""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": f"'self'{sockets}",
        "worker-src": "'self'",
        "media-src": "'self' blob:",
        "img-src": "'self' data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {**_HEADERS, "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items())}


def _read() -> dict[str, Asset]:
    assets = {}
    for file in files("voxfleet.console").joinpath("static").iterdir():
        suffix = PurePosixPath(file.name).suffix
        if file.name.startswith("."):
            continue
        body = file.read_bytes()
        assets[file.name] = Asset(body, MEDIA_TYPES[suffix], f'"{hashlib.sha256(body).hexdigest()[:20]}"')
    return assets


def _answer(request: Request, asset: Asset) -> Response:
    headers = {**security_headers(request.headers.get("host")), "etag": asset.etag}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if asset.etag in known:
        return Response(status_code=304, headers=headers)
    return Response(asset.body, media_type=asset.media_type, headers=headers)
