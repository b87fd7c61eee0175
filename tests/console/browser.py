"""A headless Chromium driven over the DevTools protocol: as much of it as the tests of the console need."""

import asyncio
import base64
import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect

KEYS = {"Tab": 9, "Enter": 13, "Space": 32, "ArrowRight": 39, "ArrowDown": 40, "End": 35}
_TYPED = {"Enter": "\r", "Space": " "}

_FLAGS = (
    "--headless=new",
    "--lang=en-US",
    "--remote-debugging-port=0",
    "--no-sandbox",  # tests may run as root
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--mute-audio",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)

_GUARD = 'trap : TERM; "$@" < /dev/null & read -r _; kill -TERM 0; wait'
"""Runs the browser until standard input closes: it ends with the tests even if they are killed."""


def executable() -> str | None:
    """Where Chromium is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page:
    """One tab. Everything the browser complains about is collected in `complaints`."""

    def __init__(self, connection: ClientConnection, session: str) -> None:
        self._connection = connection
        self._session = session
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []
        """Console errors and warnings, uncaught exceptions, failed requests and violations of the page's policy."""

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A DevTools method and its result. Raises RuntimeError with the browser's own words."""
        number = next(self._ids)
        waiting = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params, "sessionId": self._session}
        try:
            await self._connection.send(_json(message))
            answer = await asyncio.wait_for(waiting, 30)
        finally:
            del self._answers[number]
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    async def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited. Raises RuntimeError if it throws."""
        result = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description", script))
        return result["result"].get("value")

    async def until(self, script: str, timeout: float = 20.0) -> Any:
        """Waits until an expression is truthy; returns it. The time only bounds how long a failing test waits."""
        give_up = time.monotonic() + timeout
        while not (value := await self.evaluate(script)):
            if time.monotonic() > give_up:
                text = await self.evaluate("document.body.innerText")
                raise TimeoutError(f"never true: {script}\ncomplaints: {self.complaints}\nthe page says:\n{text}")
            await asyncio.sleep(0.05)
        return value

    async def text(self, selector: str) -> str:
        """The text of the first element of a selector."""
        return str(await self.evaluate(f"document.querySelector({_json(selector)}).textContent"))

    async def open(self, url: str) -> None:
        """Goes to a page and waits until its modules have run."""
        await self.call("Page.navigate", url=url)
        await self.until(f"location.href === {_json(url)} && document.readyState === 'complete'")

    async def press(self, key: str) -> None:
        """One key, down and up, as a keyboard sends it."""
        named = {"key": " " if key == "Space" else key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        typed = {"text": _TYPED[key]} if key in _TYPED else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **named, **typed)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    async def choose_files(self, selector: str, *paths: Path) -> None:
        """What a person does in the file dialogue."""
        found = await self.call("Runtime.evaluate", expression=f"document.querySelector({_json(selector)})")
        await self.call(
            "DOM.setFileInputFiles", objectId=found["result"]["objectId"], files=[str(path) for path in paths]
        )

    async def viewport(self, width: int, height: int, *, phone: bool = False) -> None:
        scale = 2 if phone else 1
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )

    async def prefer(self, scheme: str) -> None:
        """`scheme`: light or dark."""
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def screenshot(self, path: Path, *, whole: bool = True) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shot = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def take(self, message: dict[str, Any]) -> None:
        """A message of the browser: an answer, or something to complain about."""
        waiting = self._answers.get(message.get("id", 0))
        if waiting is not None and not waiting.done():
            waiting.set_result(message)
        complaint = _complaint(message.get("method", ""), message.get("params", {}))
        if complaint is not None:
            self.complaints.append(complaint)


@contextlib.asynccontextmanager
async def launched(*flags: str) -> AsyncIterator[Page]:
    """A fresh browser with a fresh profile and one empty tab. Both are gone at the end, whatever happened."""
    program = executable()
    assert program is not None, "the caller checks that there is a Chromium"
    with tempfile.TemporaryDirectory(prefix="voxfleet-browser-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            ["sh", "-c", _GUARD, "guard", program, *_FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            url = await _endpoint(Path(profile) / "DevToolsActivePort")
            async with connect(url, max_size=None, compression=None) as connection:
                page = Page(connection, await _attach(connection))
                reading = asyncio.create_task(_read(connection, page))
                try:
                    for domain in ("Page", "Runtime", "Log", "DOM", "Audits"):
                        await page.call(f"{domain}.enable")
                    yield page
                finally:
                    reading.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await reading
        finally:
            _kill(process)


async def _endpoint(port_file: Path) -> str:
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        if port_file.exists() and len(lines := port_file.read_text().split()) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        await asyncio.sleep(0.05)
    raise TimeoutError("the browser did not open its DevTools port within 30 s")


async def _attach(connection: ClientConnection) -> str:
    """The session of the first tab. Runs before anything else reads from the connection."""
    targets = (await _ask(connection, "Target.getTargets"))["targetInfos"]
    tab = next(target["targetId"] for target in targets if target["type"] == "page")
    return str((await _ask(connection, "Target.attachToTarget", targetId=tab, flatten=True))["sessionId"])


async def _ask(connection: ClientConnection, method: str, **params: Any) -> dict[str, Any]:
    await connection.send(_json({"id": 0, "method": method, "params": params}))
    while True:
        message = _parsed(await connection.recv())
        if message.get("id") == 0:
            return dict(message["result"])


async def _read(connection: ClientConnection, page: Page) -> None:
    async for frame in connection:
        page.take(_parsed(frame))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The browser and its children: they share a process group that is theirs alone."""
    assert process.stdin is not None
    process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(5)


def _complaint(method: str, params: dict[str, Any]) -> str | None:
    match method:
        case "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            return f"exception: {details.get('exception', {}).get('description', details.get('text'))}"
        case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
            return f"console.{params['type']}: {[arg.get('value') for arg in params['args']]}"
        case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
            return f"log: {params['entry']['text']} {params['entry'].get('url', '')}"
        case "Audits.issueAdded" if params["issue"]["code"] == "ContentSecurityPolicyIssue":
            return f"policy: {params['issue']['details']}"
    return None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _parsed(frame: str | bytes) -> dict[str, Any]:
    return msgspec.json.decode(frame, type=dict[str, Any])
