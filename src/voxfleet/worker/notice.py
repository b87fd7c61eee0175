"""Notice of preemption: the cloud, or whoever owns the machine, says that it will be taken away soon, and when.

A source is asked every second on a thread of its own, because metadata servers may be slow or absent. What they answer:
Google Compute Engine (Preempting instances, and Host maintenance events, 2026), Amazon EC2 (Spot interruption notices,
IMDSv2), Azure (Scheduled Events 2020-07-01). Where absent it is said once, and asked for less often.
"""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import Protocol

import structlog

from voxfleet.errors import SettingsError

log = structlog.get_logger()

POLL_SECONDS = 1.0
ABSENT_SECONDS = 15.0
"""Between two questions to a source that has never answered."""
ANSWER_SECONDS = 2.0
GCE_URL = "http://metadata.google.internal"
LINK_LOCAL_URL = "http://169.254.169.254"
GCE_PREEMPTED_SECONDS = 15.0
"""30 are promised; containers are given 15 of them."""
GCE_MAINTENANCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Notice:
    """This machine goes away in `seconds`; None where the source does not say when."""

    seconds: float | None
    source: str


class Source(Protocol):
    """Where notices come from."""

    name: str

    def look(self) -> Notice | None:
        """The notice, if there is one. Blocks for a moment. Raises where nothing can be learnt."""
        ...


def source_of(spec: str, url: str = "") -> Source:
    """The source a setting names; `url` stands for the cloud's metadata server. Raises SettingsError."""
    if spec == "gce":
        return ComputeEngine(url or GCE_URL)
    if spec == "ec2":
        return Ec2(url or LINK_LOCAL_URL)
    if spec == "azure":
        return Azure(url or LINK_LOCAL_URL)
    if spec.startswith("file:") and len(spec) > len("file:"):
        return NoticeFile(Path(spec.removeprefix("file:")))
    if spec.startswith(("http://", "https://")):
        return Page(spec)
    raise SettingsError(f"'preemption' must be gce, ec2, azure, file:PATH or an http(s) URL, not '{spec}'")


async def wait_for(source: Source, every: float = POLL_SECONDS, absent: float = ABSENT_SECONDS) -> Notice:
    """The first notice. Cancelling ends the questions; the thread is not waited for."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Notice] = loop.create_future()
    stop = threading.Event()

    def hand_over(notice: Notice) -> None:
        if not found.done():
            found.set_result(notice)

    def ask() -> None:
        notice = _watch(source, stop, every, absent)
        if notice is not None and not stop.is_set():
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(hand_over, notice)

    threading.Thread(target=ask, name="preemption", daemon=True).start()
    try:
        return await found
    finally:
        stop.set()


def _watch(source: Source, stop: threading.Event, every: float, absent: float) -> Notice | None:
    answered, complained = False, False
    while not stop.is_set():
        try:
            notice = source.look()
        except (OSError, ValueError, LookupError, TypeError, HTTPException) as error:  # not there, or no such document
            if not complained:
                log.warning("preemption_source_silent", source=source.name, error=str(error))
            complained = True
            stop.wait(every if answered else max(every, absent))
            continue
        if notice is not None:
            return notice
        answered, complained = True, False
        stop.wait(every)
    return None


# ---- sources --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said. `at` is its own clock, so that a wrong clock here changes no deadline."""

    status: int
    body: str
    at: datetime


class ComputeEngine:
    """Google's: the instance is preempted, or its host is maintained and it can't be moved (GPUs can't)."""

    name = "gce"

    def __init__(self, url: str) -> None:
        self._instance = f"{url}/computeMetadata/v1/instance"

    def look(self) -> Notice | None:
        if self._value("preempted") == "TRUE":
            return Notice(GCE_PREEMPTED_SECONDS, self.name)
        if self._value("maintenance-event") == "TERMINATE_ON_HOST_MAINTENANCE":
            return Notice(GCE_MAINTENANCE_SECONDS, self.name)
        return None

    def _value(self, key: str) -> str:
        return _found(_fetch(f"{self._instance}/{key}", {"Metadata-Flavor": "Google"})).body.strip()


class Ec2:
    """Amazon's: an instance action is announced about two minutes ahead. Tokens are renewed when they are refused."""

    name = "ec2"

    def __init__(self, url: str) -> None:
        self._url = url
        self._token = ""

    def look(self) -> Notice | None:
        answer = self._ask()
        if answer.status == 401:
            self._token = ""
            answer = self._ask()
        if answer.status == 404:
            return None
        action = json.loads(_found(answer).body)
        if action["action"] not in ("terminate", "stop", "hibernate"):
            return None
        return Notice(_until(datetime.fromisoformat(action["time"]), answer.at), self.name)

    def _ask(self) -> Answer:
        if not self._token:
            asked = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
            self._token = _found(_fetch(f"{self._url}/latest/api/token", asked, method="PUT")).body.strip()
        carried = {"X-aws-ec2-metadata-token": self._token}
        return _fetch(f"{self._url}/latest/meta-data/spot/instance-action", carried)


class Azure:
    """Microsoft's: scheduled events, of which those of type Preempt that name this machine count.

    Machines of one scale set see each other's events.
    """

    name = "azure"

    def __init__(self, url: str) -> None:
        self._url = f"{url}/metadata"
        self._machine = ""

    def look(self) -> Notice | None:
        answer = self._get("scheduledevents?api-version=2020-07-01")
        for event in json.loads(answer.body)["Events"]:
            if event["EventType"] == "Preempt" and self._concerned(event.get("Resources", [])):
                before = event.get("NotBefore")  # empty once the event has begun
                return Notice(_until(parsedate_to_datetime(before), answer.at) if before else 0.0, self.name)
        return None

    def _concerned(self, machines: list[str]) -> bool:
        if not self._machine:
            self._machine = self._get("instance/compute/name?api-version=2021-02-01&format=text").body.strip()
        return not machines or self._machine in machines

    def _get(self, path: str) -> Answer:
        return _found(_fetch(f"{self._url}/{path}", {"Metadata": "true"}))


class NoticeFile:
    """A file that comes to exist; it may hold the seconds left."""

    def __init__(self, path: Path) -> None:
        self.name = f"file:{path}"
        self._path = path

    def look(self) -> Notice | None:
        try:
            return Notice(_seconds(self._path.read_text(errors="replace")), self.name)
        except FileNotFoundError:
            return None


class Page:
    """A page of one's own: 200 is a notice, and its body may hold the seconds left; 204 and 404 are none."""

    def __init__(self, url: str) -> None:
        self.name = url.partition("?")[0]
        self._url = url

    def look(self) -> Notice | None:
        answer = _fetch(self._url, {})
        return None if answer.status in (204, 404) else Notice(_seconds(_found(answer).body), self.name)


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Past all proxies: metadata servers answer only to the machine itself."""


def _fetch(url: str, headers: Mapping[str, str], method: str = "GET") -> Answer:
    request = urllib.request.Request(url, headers=dict(headers), method=method)  # noqa: S310 - the operator named it
    try:
        with _opener.open(request, timeout=ANSWER_SECONDS) as reply:
            status, received, body = reply.status, reply.headers, reply.read(65_536)
    except urllib.error.HTTPError as error:
        with error:
            status, received, body = error.code, error.headers, b""
    date = received.get("Date")
    return Answer(status, body.decode(errors="replace"), parsedate_to_datetime(date) if date else datetime.now(UTC))


def _found(answer: Answer) -> Answer:
    """The answer, if it is one. Raises ValueError."""
    if answer.status != 200:
        raise ValueError(f"HTTP status {answer.status}")
    return answer


def _until(moment: datetime, now: datetime) -> float:
    return max((moment - now).total_seconds(), 0.0)


def _seconds(text: str) -> float | None:
    """The seconds a notice holds; None where it holds none that make sense."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
