"""Which exit code an error stands for."""

import pytest

from voxfleet.cli import exits
from voxfleet.client import ConnectionFailed, RemoteError
from voxfleet.errors import AtCapacity, BadAudio, EngineFailed, SettingsError, VoxfleetError
from voxfleet.wire.native import ErrorMessage


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("wrong"), exits.SETTINGS),
        (ConnectionFailed("nobody there"), exits.NO_SERVER),
        (EngineFailed("did not come up"), exits.NO_SERVER),
        (AtCapacity(2), exits.REFUSED),
        (BadAudio("noise"), exits.FAILED),
        (RemoteError(ErrorMessage("at_capacity", "full", True)), exits.REFUSED),
        (RemoteError(ErrorMessage("too_fast", "slower", False)), exits.REFUSED),
        (RemoteError(ErrorMessage("engine_lost", "gone", True)), exits.FAILED),
        (RemoteError(ErrorMessage("of_a_newer_version", "?", False)), exits.FAILED),
    ],
)
def test_code_of_an_error(error: VoxfleetError, code: int) -> None:
    assert exits.code_of(error) == code


@pytest.mark.parametrize(
    ("codes", "code"), [([], 0), ([0, 0], 0), ([4, 4], 4), ([0, 4], 1), ([4, 5], 1), ([0, 0, 1], 1)]
)
def test_code_of_many(codes: list[int], code: int) -> None:
    assert exits.code_of_many(codes) == code
