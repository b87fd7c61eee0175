"""Processes stay on the processors the settings name."""

import os
from pathlib import Path

import pytest

from tests.server import FAKE, serving
from voxfleet.cli.cores import stay_on
from voxfleet.errors import SettingsError

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no processor affinity")


def test_gateways_take_turns_and_workers_keep_theirs(tmp_path: Path) -> None:
    ours = sorted(os.sched_getaffinity(0))[:2]
    worker = {"model": FAKE, "places": 1, "cores": ours[-1:]}
    with serving(tmp_path, gateway={"cores": ours}, supervisor={"gateways": 2}, workers=[worker]) as server:
        gateways = [os.sched_getaffinity(pid) for pid in server.pids("voxfleet.cli.gateway_process")]
        (working,) = (os.sched_getaffinity(pid) for pid in server.pids("voxfleet.cli.worker_process"))
    assert sorted(map(sorted, gateways)) == sorted([core] for core in (ours * 2)[:2])
    assert working == {ours[-1]}


def test_processors_that_are_not_there_are_named() -> None:
    before = os.sched_getaffinity(0)
    try:
        stay_on(())
        assert os.sched_getaffinity(0) == before
        with pytest.raises(SettingsError, match="processors we may use"):
            stay_on((4_000,))
        with pytest.raises(SettingsError, match="processors"):
            stay_on((min(before), 4_000))
    finally:
        os.sched_setaffinity(0, before)
