"""A metadata server for tests, on a free port of this machine: answers as told, as strict as the clouds are."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Cloud:
    """What the server answers; a path that is missing is 404. `clock_error` is how wrong its host's clock is."""

    url: str = ""
    pages: dict[str, str | int] = field(default_factory=dict)
    required: tuple[str, str] | None = None
    tokens: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    clock_error: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.clock_error


@contextmanager
def cloud() -> Iterator[Cloud]:
    told = Cloud()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            assert self.path == "/latest/api/token"
            assert 0 < int(self.headers["X-aws-ec2-metadata-token-ttl-seconds"]) <= 21_600
            token = f"token-{len(told.asked)}"
            told.tokens = {token}
            self._answer(200, token)

        def do_GET(self) -> None:
            if told.required is not None and self.headers[told.required[0]] != told.required[1]:
                self._answer(403, "missing header")
            elif self.path.startswith("/latest/") and self.headers["X-aws-ec2-metadata-token"] not in told.tokens:
                self._answer(401, "")
            else:
                page = told.pages.get(self.path, 404)
                self._answer(200, page) if isinstance(page, str) else self._answer(page, "")

        def _answer(self, status: int, body: str) -> None:
            told.asked.append(f"{self.command} {self.path} {status}")
            self.send_response_only(status)
            self.send_header("Date", format_datetime(told.now(), usegmt=True))
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
