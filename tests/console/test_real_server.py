"""The pages against the real server with the embedded engine: what is said into the microphone stands on the page."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import voxfleet.cli
from tests.server import Server, serving
from tests.speech_audio import padded, spoken

from .browser import Page
from .conftest import ARTIFACTS, write_wav
from .test_pages import FINALS, STATE, start, stop

pytestmark = pytest.mark.slow

SAID = "the weather is nice today"
SAMPLE_CALL = Path(voxfleet.cli.__file__).parent / "sample" / "call.flac"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server"), workers=[{"model": "embedded", "places": 2}]) as server:
        yield server


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sentence, then two seconds of quiet, over and over."""
    speech = padded(spoken(SAID), before=0.5, after=2.0).astype(np.float64) / 32_768
    return write_wav(tmp_path_factory.mktemp("microphone") / "speech.wav", [speech], 16_000)


async def test_the_microphone_becomes_the_words_that_were_said(page: Page, server: Server) -> None:
    await page.open(f"{server.url}/")
    await start(page)
    await page.until(f"{STATE} === 'live'")
    await page.until(f"{FINALS} >= 2", 60)  # the first may have begun in mid-sentence
    await page.screenshot(ARTIFACTS / "real-microphone.png")
    await stop(page)
    finals = await page.evaluate(
        "[...document.querySelectorAll('.turn[data-state=final]')].map(t => t.textContent).join(' ')"
    )
    assert "weather is nice today" in finals
    assert await page.evaluate("document.querySelector('#problem').hidden")


async def test_the_sample_call_is_two_voices_and_the_operator_sees_it(page: Page, server: Server) -> None:
    await page.open(f"{server.url}/")
    await page.evaluate("document.querySelector('[value=file]').click()")
    await page.choose_files("#file", SAMPLE_CALL)
    await page.until("document.querySelector('#file-facts').textContent.includes('two channels')")
    await start(page)
    await page.until(f"{FINALS} >= 4", 60)
    await page.screenshot(ARTIFACTS / "real-call.png")
    status = server.status()
    assert status["streams"]["live"] == 2
    assert status["latency"]["final"]["count"] > 0
    channels = await page.evaluate(
        "[...new Set([...document.querySelectorAll('.turn')].map(t => t.dataset.channel))].length"
    )
    assert channels == 2
    await page.open(f"{server.url}/operator")  # leaving the page ends the call
    await page.until("document.querySelector('tbody tr') !== null")
    await page.screenshot(ARTIFACTS / "real-operator.png")
    server.at_rest()
