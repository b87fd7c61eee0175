"""What is spoken and what it is put into: translation and automatic language, from every door to the engine."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import openai
import pytest

from tests.cli.test_end_to_end import write_wav
from tests.fakes.fake_engine import FakeEngine
from tests.gateway.test_stream import refused
from tests.server import FAKE, Server, serving
from voxfleet.client import RemoteError, StreamOptions, connect
from voxfleet.engines.port import Heard, TrackOptions
from voxfleet.scheduling.places import Place
from voxfleet.scheduling.work import Plan
from voxfleet.wire import native

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # openai's own word on its translations
INTERPRETER = "python:tests.gateway.test_translation:Interpreter"
FOUND = "ro"


class Interpreter(FakeEngine):
    """Says, word for word, what it was asked to do, and finds Romanian in whatever it hears. Is called like a Whisper."""

    def __init__(self, places: int = 4) -> None:
        super().__init__(places, languages=("en", FOUND, "auto"))
        self.info = replace(self.info, name="whisper-tiny", translates=True)
        self._asked: dict[Place, TrackOptions] = {}

    def take(self, options: TrackOptions) -> Place:
        place = super().take(options)
        self._asked[place] = options
        return place

    def step(self, plan: Plan) -> Sequence[Heard]:
        return [self._put(heard) for heard in super().step(plan)]

    def _put(self, heard: Heard) -> Heard:
        asked = self._asked[heard.place]
        text = f"{asked.language}-{'translated' if asked.translate else 'as-said'}"
        said = heard.hypothesis
        stable, unstable = (
            tuple(msgspec.structs.replace(word, text=text) for word in words) for words in (said.stable, said.unstable)
        )
        language = FOUND if asked.language == "auto" else ""
        return replace(
            heard, hypothesis=msgspec.structs.replace(said, stable=stable, unstable=unstable, language=language)
        )


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(
        tmp_path_factory.mktemp("server"),
        gateway={"default_model": "whisper-tiny"},
        workers=[
            {"model": INTERPRETER, "name": "interpreter", "places": 4},
            {"model": FAKE, "name": "fake", "places": 2},
        ],
    ) as server:
        yield server


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Four seconds of speech, as a file."""
    return write_wav(tmp_path_factory.mktemp("audio") / "call.wav", 4.0, channels=1).read_bytes()


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0) as client:
        yield client


async def said(server: Server, call: bytes, **options: Any) -> tuple[set[str], str | None]:
    """The words of a live call, each once, and the language the last final names."""
    async with connect(server.url, StreamOptions(**options)) as stream:
        await stream.send(call[44:])
        await stream.finish()
        finals = [message async for message in stream if isinstance(message, native.FinalMessage) and message.text]
    assert finals
    return {word for final in finals for word in final.text.split()}, finals[-1].language


@pytest.mark.parametrize(
    ("options", "words", "language"),
    [
        ({}, {"en-as-said"}, None),
        ({"translate": True}, {"en-translated"}, None),
        ({"language": "ro", "translate": True}, {"ro-translated"}, None),
        ({"language": "auto"}, {"auto-as-said"}, "ro"),
        ({"language": "auto", "translate": True, "channels": 1, "model": "tiny"}, {"auto-translated"}, "ro"),
    ],
)
async def test_a_live_call_is_put_into_what_it_asks_for(
    server: Server, call: bytes, options: dict[str, Any], words: set[str], language: str | None
) -> None:
    assert await said(server, call, **options) == (words, language)


@pytest.mark.parametrize(
    ("query", "code", "says"),
    [
        ("?task=sing", "bad_value", "'task' must be one of transcribe, translate"),
        ("?task=translate&model=fake", "bad_request", "'fake' can't translate: ask for the task 'transcribe'"),
        ("?language=auto&model=fake", "language_not_supported", "'fake' does not hear 'auto'"),
        ("?language=automatic", "bad_value", "or auto"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(server: Server, query: str, code: str, says: str) -> None:
    error, close = await refused(server, query)
    assert (error["code"], close) == (code, 1008)
    assert says in error["message"]


@pytest.mark.parametrize("spelling", ["whisper-tiny", "tiny", "openai/whisper-tiny"])
async def test_a_model_answers_to_the_names_the_catalogue_knows_it_by(server: Server, spelling: str) -> None:
    async with connect(server.url, StreamOptions(model=spelling)) as stream:
        assert stream.ready.model == "whisper-tiny"
    with pytest.raises(RemoteError, match="model 'base' is not served here"):
        async with connect(server.url, StreamOptions(model="base")):
            pass


def test_files_are_translated_where_openais_clients_ask_for_it(client: openai.OpenAI, call: bytes) -> None:
    def ask(style: Any) -> Any:
        return client.audio.translations.create(file=("call.wav", call), model="whisper-1", response_format=style)

    answer = ask("json")
    assert set(answer.text.split()) == {"auto-translated"}
    assert ask("text") == answer.text + "\n"
    assert "auto-translated" in ask("srt")
    assert ask("vtt").startswith("WEBVTT")
    verbose = ask("verbose_json")
    assert (verbose.text, verbose.language) == (answer.text, "en")
    assert verbose.segments[0].end <= verbose.duration == pytest.approx(4.0, abs=0.1)
    told = json.loads(client.audio.translations.with_raw_response.create(
        file=("call.wav", call), model="tiny", response_format="verbose_json", extra_body={"language": "ro"}
    ).text)  # fmt: skip
    assert (told["task"], told["language"], set(told["text"].split())) == ("translate", "en", {"ro-translated"})


def test_files_whose_language_nobody_names_are_in_the_one_that_is_found(client: openai.OpenAI, call: bytes) -> None:
    def ask(model: str, **more: Any) -> Any:
        return client.audio.transcriptions.create(
            file=("call.wav", call), model=model, response_format="verbose_json", **more
        )

    found = ask("whisper-1")
    assert (found.language, set(found.text.split())) == ("ro", {"auto-as-said"})
    assert ask("whisper-1", language="en").language == "en"
    assert ask("fake").language == "en"
    asked = ask("openai/whisper-tiny", language="ro", extra_body={"task": "translate"})
    assert (asked.language, set(asked.text.split())) == ("en", {"ro-translated"})


def test_refusals_of_files_are_openai_errors(client: openai.OpenAI, call: bytes) -> None:
    def refusal(**asked: Any) -> openai.BadRequestError:
        with pytest.raises(openai.BadRequestError) as error:
            client.audio.translations.create(file=("call.wav", call), **asked)
        return error.value

    unable = refusal(model="fake")
    assert (unable.code, "can't translate" in str(unable)) == ("bad_request", True)
    contrary = refusal(model="tiny", extra_body={"task": "transcribe"})
    assert (contrary.code, contrary.param) == ("bad_value", "task")
    assert refusal(model="tiny", extra_body={"language": "latin"}).param == "language"
    with pytest.raises(openai.BadRequestError, match="'task' must be one of transcribe, translate"):
        client.audio.transcriptions.create(file=("call.wav", call), model="tiny", extra_body={"task": "sing"})
