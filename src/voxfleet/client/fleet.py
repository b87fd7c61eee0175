"""A fleet asked from outside: what it is made of, and one of its workers told to leave."""

import asyncio
import http.client
import ssl
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from voxfleet.client.connect import ConnectionFailed
from voxfleet.client.refusal import refused
from voxfleet.wire.fleet import FLEET_PATH, DrainAsked, DrainOrder, Fleet, drain_path

T = TypeVar("T")
PATIENCE = 5.0
"""Seconds for one answer."""


class Operator:
    """One connection to a gateway, kept while it lasts, so that a series of answers comes from the same one.

    Not for two tasks at once. All methods raise ConnectionFailed where no server answers or it is no Voxfleet, and
    RemoteError where it refuses.
    """

    def __init__(self, url: str, secret: str = "") -> None:
        """`secret`: the cluster's, empty for none; drains are refused without it, except on the gateway's own machine."""
        self.url = url
        self._parts = urlsplit(url if "://" in url else f"http://{url}")
        self._secret = secret
        self._connection: http.client.HTTPConnection | None = None

    async def fleet(self) -> Fleet:
        """The gateways and workers as they are now."""
        return await asyncio.to_thread(self._ask, "GET", FLEET_PATH, None, Fleet)

    async def drain(self, worker: str, order: DrainOrder) -> DrainAsked:
        """Tell a worker to leave: its streams are moved to others. Returns when it is told, not when it has left."""
        return await asyncio.to_thread(self._ask, "POST", drain_path(worker), order, DrainAsked)

    def close(self) -> None:
        """Let go of the connection; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, method: str, path: str, body: DrainOrder | None, kind: type[T]) -> T:
        try:
            status, answer = self._exchange(method, path, body)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self.close()  # a kept connection that the server has closed meanwhile
            status, answer = self._retried(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            raise self._nobody(error) from None
        if status not in (200, 202):
            raise refused(status, None, answer)
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.DecodeError as error:
            raise ConnectionFailed(f"{self.url} does not answer as Voxfleet does: {error}") from None

    def _retried(self, method: str, path: str, body: DrainOrder | None) -> tuple[int, bytes]:
        try:
            return self._exchange(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            raise self._nobody(error) from None

    def _nobody(self, error: Exception) -> ConnectionFailed:
        self.close()
        return ConnectionFailed(f"no server answers at {self.url}: {error or type(error).__name__}")

    def _exchange(self, method: str, path: str, body: DrainOrder | None) -> tuple[int, bytes]:
        connection = self._connection = self._connection or self._connected()
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._secret:
            headers["Authorization"] = f"Bearer {self._secret}"
        data = None if body is None else msgspec.json.encode(body)
        connection.request(method, self._parts.path.rstrip("/") + path, data, headers)
        with connection.getresponse() as answer:
            return answer.status, answer.read()

    def _connected(self) -> http.client.HTTPConnection:
        try:
            host, port = self._parts.hostname or "", self._parts.port
        except ValueError:
            raise ConnectionFailed(f"'{self.url}' is no address of a server") from None
        if self._parts.scheme in ("https", "wss"):
            return http.client.HTTPSConnection(host, port, timeout=PATIENCE, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=PATIENCE)
