"""Spoken digits through `voxfleet serve --model digits`: what is heard live, when it is told, and that a file says the same."""

import asyncio
import io
import itertools
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import openai
import pytest

from tests.digits.strings import TELEPHONE, DigitCall, on_telephone, strings
from tests.faults.account import account
from tests.faults.callers import Caller, Told, undisturbed
from tests.faults.calls import FRAME, Call
from tests.server import Server, serving
from voxfleet.client import RemoteError, StreamOptions, connect
from voxfleet.evaluation.wer import score_all
from voxfleet.wire.native import FinalMessage, PartialMessage, WordMessage

pytest.importorskip("torch", reason="needs torch: pip install -e '.[gpu]'")

CHUNK_MS = 320
AT_ONCE = 16
"""Streams side by side: two cores keep up although other tests share them."""
WORST = 0.03
"""Share of the words that may be wrong."""
SOONEST, LATEST = 0.08, 0.24
"""Seconds by which a word may begin before its clip and end after it: a frame, and the three by which the network, which
was not told where in a word to say it, may say it late."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker of one thread, chunks of one size: what is heard does not depend on the load."""
    strings()  # skips where there is nothing to say
    worker = {"model": "digits", "places": 24, "options": {"threads": 1, "chunks": [CHUNK_MS]}}
    with serving(tmp_path_factory.mktemp("digits"), workers=[worker]) as started:
        started.wait(lambda status: status["workers"][0]["state"] == "ready", 60)
        yield started


async def spoken(server: Server, calls: Sequence[Call], options: StreamOptions | None = None) -> list[Told]:
    """What callers of these calls are told, AT_ONCE of them at a time, each in real time."""
    lines = asyncio.Semaphore(AT_ONCE)

    async def said(number: int, call: Call) -> Told:
        async with lines:
            while (told := await Caller(number, call, server.url, options=options).run()).refused:
                await asyncio.sleep(1.0)  # a machine busy with something else sustains fewer
            return told

    return list(await asyncio.gather(*itertools.starmap(said, enumerate(calls))))


def words_of(told: Told) -> list[WordMessage]:
    return [word for final in told.finals for word in final.words or ()]


def check_words(calls: Sequence[DigitCall], told: Sequence[Told]) -> None:
    """Nearly all are right. They are compared as they are: the vocabulary is ten words, there is nothing to normalise."""
    pairs = [(call.text, " ".join(word.word for word in words_of(one))) for call, one in zip(calls, told, strict=True)]
    rate = score_all(pairs, normalise=str).rate
    assert rate is not None
    assert rate <= WORST, [pair for pair in pairs if pair[0] != pair[1]]


@pytest.fixture(scope="module")
def live(server: Server) -> list[Told]:
    """Every string, 16-bit PCM at 16 kHz."""
    return asyncio.run(spoken(server, strings()))


@pytest.mark.slow
async def test_every_recording_is_heard_live(server: Server, live: list[Told]) -> None:
    """The right words, at the right times, none taken back; and sent fast the same is heard."""
    check_words(strings(), live)
    assert misplaced(strings(), live) == []
    found = account(live, await undisturbed(server.url, [told.call for told in live]))
    assert found.identical, found.json()


@pytest.mark.slow
async def test_every_recording_is_heard_over_the_telephone(server: Server) -> None:
    calls = strings()
    told = await spoken(server, [on_telephone(call) for call in calls], TELEPHONE)
    check_words(calls, told)
    found = account(told, {one.call: one.finals for one in told})
    assert found.identical, found.json()
    assert misplaced(calls, told) == []


def misplaced(calls: Sequence[DigitCall], told: Sequence[Told]) -> list[str]:
    """Words of strings heard without an error that do not lie where they were said."""
    found = []
    for call, one in zip(calls, told, strict=True):
        words = words_of(one)
        if [word.word for word in words] != [said.word for said in call.said]:
            continue
        for said, word in zip(call.said, words, strict=True):
            if not said.start - SOONEST <= word.start <= word.end <= said.end + LATEST:
                found.append(f"{call.name}: '{said.word}' [{said.start:.2f}, {said.end:.2f}], told {word}")
    return found


async def test_words_come_while_somebody_speaks(server: Server) -> None:
    """A caller stops in the midst of a string until words have come, then goes on: they stay."""
    call = strings()[0]
    third = round(call.said[2].end / FRAME)
    async with connect(server.url) as stream:
        for number in range(third):
            await stream.send(call.frame(number))
            await asyncio.sleep(FRAME)
        async with asyncio.timeout(30):
            while not (isinstance(message := await stream.receive(), PartialMessage) and message.stable):
                pass
        early = message.stable.split()
        assert early == call.text.split()[: len(early)]
        for number in range(third, call.frames):
            await stream.send(call.frame(number))
        await stream.finish()
        finals = [message.text async for message in stream if isinstance(message, FinalMessage)]
    assert " ".join(finals).split()[: len(early)] == early


@pytest.mark.slow
def test_a_file_says_what_was_heard_live(server: Server, live: list[Told]) -> None:
    with openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0) as client:
        for call, one in list(zip(strings(), live, strict=True))[::4]:
            answer = client.audio.transcriptions.create(
                file=("call.wav", wav(call)),
                model="digits",
                response_format="verbose_json",
                timestamp_granularities=["word"],
            )
            told = [(word.word, word.start, word.end) for word in answer.words or ()]
            assert told == [(word.word, word.start, word.end) for word in words_of(one)]


def wav(call: DigitCall) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(call.samples.tobytes())
    return buffer.getvalue()


async def test_another_language_is_refused_in_one_sentence(server: Server) -> None:
    with pytest.raises(RemoteError) as refusal:
        async with connect(server.url, StreamOptions(language="ro")):
            pass
    assert refusal.value.remote_code == "language_not_supported"
    assert "'digits' does not hear 'ro', only en" in str(refusal.value)


async def test_the_chunk_is_the_one_of_the_options(server: Server) -> None:
    async with connect(server.url) as stream:
        assert (stream.ready.model, stream.ready.chunk_ms) == ("digits", CHUNK_MS)


def test_a_chunk_nobody_offers_is_refused_by_name(tmp_path: Path) -> None:
    worker = {"model": "digits", "options": {"chunks": [100]}}
    refused = pytest.raises(AssertionError, match="did not start")
    with refused as told, serving(tmp_path, exit_code=3, workers=[worker]):
        pass
    assert "100" in str(told.value)
