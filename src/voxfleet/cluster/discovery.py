"""Where the workers of other machines are: what an address may look like, and which addresses a name has now.

`host:port` and `unix:/path` stay as they are; `dns:name:port` stands for every address of the name (a headless service
of Kubernetes) and is resolved again and again. A resolution that fails takes nothing away: links notice by themselves
who is gone, and a name server that is down must not end a single call.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from voxfleet.errors import SettingsError

log = structlog.get_logger()

RESOLVE_TIMEOUT = 5.0
"""Seconds a name server may take before the resolution counts as failed."""

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""All IP addresses of a host name; raises OSError (socket.gaierror) where it has none."""

_ENDPOINT = re.compile(r"(?:\[(?P<ip6>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Static:
    """One worker whose address is known."""

    name: str
    """As the operator wrote it; the worker tells its own name when it is linked."""
    address: str
    """What gRPC dials."""


@dataclass(frozen=True, slots=True)
class Dns:
    """All workers behind one name."""

    host: str
    port: int

    def at(self, ip: str) -> Static:
        """The worker at this address of the name. Its certificate is for the name: `name@ip:port` says both."""
        endpoint = f"[{ip}]:{self.port}" if ":" in ip else f"{ip}:{self.port}"
        return Static(endpoint, f"{self.host}@{endpoint}")


def parse(spec: str) -> Static | Dns:
    """One entry of `cluster.workers`. Raises SettingsError naming it where it is no address."""
    if spec.startswith("unix:"):
        if spec == "unix:":
            raise _no_address(spec)
        return Static(spec, spec)
    if spec.startswith("dns:"):
        return Dns(*endpoint(spec.removeprefix("dns:"), spec))
    endpoint(spec)
    return Static(spec, spec)


def endpoint(text: str, spec: str = "", lowest_port: int = 1) -> tuple[str, int]:
    """Host (an IPv6 address without its brackets) and port of `host:port`. Raises SettingsError naming `spec`."""
    found = _ENDPOINT.fullmatch(text)
    if found is None or not lowest_port <= int(found["port"]) <= 65_535:
        raise _no_address(spec or text)
    return found["ip6"] or found["host"], int(found["port"])


async def watch(
    specs: Sequence[str],
    every: float,
    changed: Callable[[Mapping[str, str]], None],
    resolve: Resolve | None = None,
) -> None:
    """Call `changed({name: address})` at start and whenever the set of workers is another one, until cancelled.

    Names are of the form `host:port`, addresses are for `credentials.channel`. Known addresses are told at once; names
    are resolved every `every` seconds, all at the same time. A worker that is missing from a later call is not to be
    cut off: Kubernetes takes a pod's address back when it begins to leave, while its streams are still there.
    Raises SettingsError for what is no address, before anything is called.
    """
    parsed = [parse(spec) for spec in specs]
    names = list(dict.fromkeys(spec for spec in parsed if isinstance(spec, Dns)))
    known: dict[str, str] | None = None
    static = {spec.name: spec.address for spec in parsed if isinstance(spec, Static)}
    if static or not names:
        known = static
        changed(dict(known))
    found = _Found(resolve or resolve_by_system)
    while True:
        await asyncio.gather(*(found.refresh(name) for name in names))
        present = {worker.name: worker.address for name in names for worker in found.workers(name)} | static
        if present != known:
            known = present
            changed(dict(known))
        await asyncio.sleep(every)


async def resolve_by_system(host: str) -> list[str]:
    """All A and AAAA records of a name, as this machine resolves it. Raises socket.gaierror."""
    answers = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in answers]


class _Found:
    """What the last good resolution of each name has found, and which names fail now."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._ips: dict[Dns, list[str]] = {}
        self._failing: set[Dns] = set()

    def workers(self, name: Dns) -> list[Static]:
        return [name.at(ip) for ip in self._ips.get(name, [])]

    async def refresh(self, name: Dns) -> None:
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT):
                ips = sorted(set(await self._resolve(name.host)))
        except (OSError, TimeoutError, UnicodeError) as error:  # UnicodeError: a label that is too long
            if name not in self._failing:
                self._failing.add(name)
                log.warning("name_not_resolved", host=name.host, known=len(self._ips.get(name, [])), error=str(error))
            return
        if name in self._failing:
            self._failing.discard(name)
            log.info("name_resolved_again", host=name.host, addresses=len(ips))
        self._ips[name] = ips


def _no_address(spec: str) -> SettingsError:
    return SettingsError(
        f"'{spec}' is not a worker's address: expected host:port, [IPv6]:port, unix:/path or dns:name:port"
    )
