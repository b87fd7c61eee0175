"""Notices of preemption, each cloud's own way, over real HTTP against a server that answers as the clouds do."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import structlog

from tests.worker.clouds import Cloud, cloud
from voxfleet.errors import SettingsError
from voxfleet.worker.notice import Notice, source_of, wait_for

GCE = "/computeMetadata/v1/instance"
EC2 = "/latest/meta-data/spot/instance-action"
EVENTS = "/metadata/scheduledevents?api-version=2020-07-01"
NAME = "/metadata/instance/compute/name?api-version=2021-02-01&format=text"


@pytest.fixture
def metadata() -> Iterator[Cloud]:
    with cloud() as server:
        yield server


def test_gce_tells_of_preemption_and_of_maintenance(metadata: Cloud) -> None:
    metadata.required = ("Metadata-Flavor", "Google")
    source = source_of("gce", metadata.url)
    metadata.pages = {f"{GCE}/preempted": "FALSE", f"{GCE}/maintenance-event": "NONE"}
    assert source.look() is None
    metadata.pages[f"{GCE}/maintenance-event"] = "MIGRATE_ON_HOST_MAINTENANCE"
    assert source.look() is None, "a machine that is moved alive loses nothing"
    metadata.pages[f"{GCE}/maintenance-event"] = "TERMINATE_ON_HOST_MAINTENANCE"
    assert source.look() == Notice(60.0, "gce")
    metadata.pages[f"{GCE}/preempted"] = "TRUE\n"
    assert source.look() == Notice(15.0, "gce")


def test_ec2_asks_with_a_token_and_renews_it(metadata: Cloud) -> None:
    source = source_of("ec2", metadata.url)
    assert source.look() is None
    assert source.look() is None
    assert sum(line.startswith("PUT") for line in metadata.asked) == 1
    metadata.tokens = set()  # it has expired
    metadata.pages[EC2] = json.dumps(
        {"action": "terminate", "time": (metadata.now() + timedelta(seconds=118)).strftime("%Y-%m-%dT%H:%M:%SZ")}
    )
    notice = source.look()
    assert notice is not None
    assert notice.seconds == pytest.approx(118, abs=1.1)
    assert metadata.asked[-3:] == [f"GET {EC2} 401", "PUT /latest/api/token 200", f"GET {EC2} 200"]


def test_the_clouds_clock_counts_not_ours(metadata: Cloud) -> None:
    metadata.clock_error = timedelta(hours=-3)
    ends = metadata.now() + timedelta(seconds=90)
    metadata.pages[EC2] = json.dumps({"action": "stop", "time": ends.strftime("%Y-%m-%dT%H:%M:%SZ")})
    notice = source_of("ec2", metadata.url).look()
    assert notice is not None
    assert notice.seconds == pytest.approx(90, abs=1.1)


def test_azure_names_the_machine_that_goes(metadata: Cloud) -> None:
    metadata.required = ("Metadata", "true")
    metadata.pages = {EVENTS: '{"DocumentIncarnation": 1, "Events": []}', NAME: "gpu-7"}
    source = source_of("azure", metadata.url)
    assert source.look() is None

    def events(machine: str, kind: str, before: str) -> str:
        event = {"EventId": "1", "EventType": kind, "ResourceType": "VirtualMachine", "Resources": [machine]}
        return json.dumps({"DocumentIncarnation": 2, "Events": [{**event, "EventStatus": "x", "NotBefore": before}]})

    soon = format_datetime(metadata.now() + timedelta(seconds=30), usegmt=True)
    metadata.pages[EVENTS] = events("gpu-8", "Preempt", soon)
    assert source.look() is None, "another machine of the set"
    metadata.pages[EVENTS] = events("gpu-7", "Reboot", soon)
    assert source.look() is None
    metadata.pages[EVENTS] = events("gpu-7", "Preempt", soon)
    notice = source.look()
    assert notice is not None
    assert notice.seconds == pytest.approx(30, abs=1.1)
    metadata.pages[EVENTS] = events("gpu-7", "Preempt", "")
    assert source.look() == Notice(0.0, "azure"), "it has begun"


def test_a_file_or_a_page_is_a_notice_and_may_hold_the_seconds(metadata: Cloud, tmp_path: Path) -> None:
    path = tmp_path / "leave"
    source = source_of(f"file:{path}")
    assert source.look() is None
    for text, seconds in (("", None), ("12.5\n", 12.5), ("soon", None), ("-3", None), ("nan", None), ("0", 0.0)):
        path.write_text(text)
        assert source.look() == Notice(seconds, f"file:{path}")

    page = source_of(f"{metadata.url}/leave?token=secret")
    assert page.look() is None
    metadata.pages["/leave?token=secret"] = 204
    assert page.look() is None
    metadata.pages["/leave?token=secret"] = "7"
    assert page.look() == Notice(7.0, f"{metadata.url}/leave"), "what may be secret in a URL is not told"
    metadata.pages["/leave?token=secret"] = 500
    with pytest.raises(ValueError, match="500"):
        page.look()


@pytest.mark.parametrize("spec", ["aws", "file:", "ftp://x/y", "/run/leave"])
def test_what_is_no_source_is_refused_by_name(spec: str) -> None:
    with pytest.raises(SettingsError, match="gce, ec2, azure, file:PATH"):
        source_of(spec)


async def test_waiting_ends_with_the_notice(tmp_path: Path) -> None:
    path = tmp_path / "leave"
    waiting = asyncio.create_task(wait_for(source_of(f"file:{path}"), every=0.01))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    path.write_text("3")
    async with asyncio.timeout(10):
        assert (await waiting).seconds == 3.0


async def test_an_absent_server_is_told_of_once_and_asked_again(metadata: Cloud) -> None:
    with structlog.testing.capture_logs() as lines:
        waiting = asyncio.create_task(wait_for(source_of(f"{metadata.url}/leave"), every=0.01, absent=0.02))
        metadata.pages["/leave"] = 500
        await _until(lambda: len(metadata.asked) > 4)
        assert [line["event"] for line in lines] == ["preemption_source_silent"]
        metadata.pages["/leave"] = 204
        await _until(lambda: metadata.asked[-1].endswith("204"))
        metadata.pages["/leave"] = "5"
        async with asyncio.timeout(10):
            await waiting


async def test_nobody_waits_for_a_server_that_does_not_answer() -> None:
    asked, release = threading.Event(), threading.Event()

    class Deaf:
        name = "deaf"

        def look(self) -> None:
            asked.set()
            release.wait(20)

    waiting = asyncio.create_task(wait_for(Deaf(), every=0.01))
    await _until(asked.is_set)
    waiting.cancel()
    done, _ = await asyncio.wait({waiting}, timeout=5)
    release.set()
    assert done


async def _until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
