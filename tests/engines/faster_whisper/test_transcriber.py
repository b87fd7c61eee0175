"""Windows in, transcripts out: the same alone and together, as the reference says them, and never without an outcome."""

import shutil
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pytest

from tests.engines.faster_whisper.conftest import sound
from tests.engines.whisper.folders import needed
from voxfleet.engines.faster_whisper.folder import Loaded, load
from voxfleet.engines.faster_whisper.transcriber import CTranslate2Transcriber
from voxfleet.engines.whisper.convert import converted
from voxfleet.engines.whisper.mel import log_mel
from voxfleet.engines.windowed.policy import USUAL
from voxfleet.engines.windowed.transcriber import Transcript, Window
from voxfleet.errors import EngineError, EngineFailed, SettingsError


def tokens(transcript: Transcript | EngineError) -> tuple[int, ...]:
    assert isinstance(transcript, Transcript), transcript
    return tuple(token for word in transcript.words for token in word.tokens)


def windows() -> list[Window]:
    """Of many lengths and kinds."""
    plain = [Window(sound(0.5 + 1.3 * seed, seed), language="en", exact=seed % 2 == 0) for seed in range(6)]
    prompted = replace(plain[1], prompt=tuple(range(300, 311)))
    forced = replace(plain[2], prefix=(400, 401, 402, 500))
    return [
        *plain, prompted, forced, replace(plain[3], language="ro", translate=True), replace(plain[4], language=""),
        replace(plain[5], careful=True), replace(plain[2], draft=(400, 401)),
    ]  # fmt: skip


def alike(one: Transcript | EngineError, other: Transcript | EngineError) -> bool:
    """The same words with the same times, and figures that differ by rounding alone."""
    assert isinstance(one, Transcript), one
    assert isinstance(other, Transcript), other
    places = [(each.word.text, each.tokens, each.attended) for each in one.words]
    assert places == [(each.word.text, each.tokens, each.attended) for each in other.words]
    for mine, theirs in zip(one.words, other.words, strict=True):
        assert (mine.word.start, mine.word.end) == pytest.approx((theirs.word.start, theirs.word.end))
        assert mine.word.confidence == pytest.approx(theirs.word.confidence, rel=1e-3)
    assert one.language == other.language
    assert (one.no_speech, one.log_probability) == pytest.approx((other.no_speech, other.log_probability), rel=1e-3)
    return True


@pytest.mark.parametrize("context", ["padded", "silence_tail", "heard"])
def test_together_as_alone(loaded: Loaded, context: str) -> None:
    transcriber = CTranslate2Transcriber(loaded, 2, encoder_context=context)
    together = transcriber.transcribe(windows())
    assert sum(len(tokens(each)) for each in together) > 50
    for window, said in zip(windows(), together, strict=True):
        assert alike(transcriber.transcribe([window])[0], said)


def test_says_what_the_reference_says(folder: Path, loaded: Loaded, transcriber: CTranslate2Transcriber) -> None:
    torch, transformers = needed("torch"), needed("transformers")
    reference = transformers.WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    special = loaded.special
    checked = 0
    for seed in range(5):
        window = Window(sound(2.0 + seed, seed), language="ro", exact=True)
        mel = torch.from_numpy(log_mel(window.samples, 80, 3000)[None])
        said = reference.generate(
            input_features=mel,
            decoder_input_ids=torch.tensor([special.prefix("ro", False)]),
            max_new_tokens=transcriber.most_tokens(len(window.samples)),
            output_scores=True,
            return_dict_in_generate=True,
        )
        new = said.sequences[0].tolist()
        new = new[len(new) - len(said.scores) :]
        ours = transcriber.transcribe([window])[0]
        assert tokens(ours) == tuple(token for token in new if token < special.end)
        if new[-1] == special.end and isinstance(ours, Transcript):
            scores = [float(each[0].log_softmax(-1)[token]) for each, token in zip(said.scores, new, strict=True)]
            assert ours.log_probability == pytest.approx(np.mean(scores), abs=1e-3)
            checked += 1
    assert checked


def test_a_full_window_is_the_same_in_every_context(loaded: Loaded) -> None:
    window = Window(sound(30.0, 3), language="en", exact=True)
    padded, tailed, heard = (
        CTranslate2Transcriber(loaded, 2, encoder_context=context).transcribe([window])[0]
        for context in ("padded", "silence_tail", "heard")
    )
    assert tokens(padded)
    assert alike(padded, tailed)
    assert alike(padded, heard)


def test_silence_completes_what_was_heard(loaded: Loaded) -> None:
    transcriber = CTranslate2Transcriber(loaded, 1, encoder_context="silence_tail")
    encoder = transcriber._encoder
    assert encoder.frames(16_000) == 200
    assert encoder.frames(30 * 16_000) == 3000
    encoded = encoder.encode([sound(1.0)])[0]
    silence = encoder.encode([np.zeros(16_000 * 30, np.int16)])[0]
    assert encoded.shape == (1500, 64)
    np.testing.assert_allclose(encoded[100:], silence[100:], atol=1e-4)
    assert np.abs(encoded[:100] - silence[:100]).max() > 0.1


def test_the_prefix_is_kept_and_not_said_again(transcriber: CTranslate2Transcriber) -> None:
    window = Window(sound(4.0, 1), language="en")
    whole = tokens(transcriber.transcribe([window])[0])
    assert len(whole) > 3
    rest = transcriber.transcribe([replace(window, prefix=whole[:3])])[0]
    assert tokens(rest) == whole[3:]


def test_a_draft_changes_nothing(transcriber: CTranslate2Transcriber) -> None:
    window = Window(sound(4.0, 2), language="en")
    plain, drafted = transcriber.transcribe([window, replace(window, draft=(300, 301, 302))])
    assert alike(plain, drafted)


def test_languages_are_found(loaded: Loaded, transcriber: CTranslate2Transcriber) -> None:
    found = [transcriber.transcribe([Window(sound(3.0, seed))])[0] for seed in range(4)]
    for seed, said in enumerate(found):
        assert isinstance(said, Transcript)
        assert said.language in loaded.special.languages
        assert alike(transcriber.transcribe([Window(sound(3.0, seed), language=said.language)])[0], said)


def test_the_task_is_said(loaded: Loaded) -> None:
    transcriber, prompts = _watched(loaded)
    translated, plain = transcriber.transcribe(
        [Window(sound(3.0), language="ro", translate=True), Window(sound(3.0), language="ro")]
    )
    assert isinstance(translated, Transcript)
    assert isinstance(plain, Transcript)
    assert (translated.language, plain.language) == ("en", "ro")
    special = loaded.special
    said = {tuple(prompt) for prompt in prompts}
    assert said == {special.prefix("ro", True), special.prefix("ro", False)}
    assert special.prefix("ro", True)[2] == special.translate


def test_prompts_lose_their_oldest_tokens(loaded: Loaded) -> None:
    transcriber, prompts = _watched(loaded)
    lengths = (0, 7, 11, 64, 300)
    transcriber.transcribe([Window(sound(1.0), "en", prompt=tuple(range(300, 300 + each))) for each in lengths])
    special = loaded.special
    before = {tuple(prompt[: prompt.index(special.start)]) for prompt in prompts}
    assert before == {
        (),
        (special.previous, *range(303, 311)),
        (special.previous, *range(300, 364)),
        (special.previous, *range(380, 600)),
    }


class _Spy:
    """A model that is listened to, or fails."""

    def __init__(self, model: Any, prompts: list[list[int]], poison: int) -> None:
        self._model, self._prompts, self._poison, self._lock = model, prompts, poison, Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, encoded: Any, prompts: list[list[int]], **options: Any) -> Any:
        with self._lock:
            self._prompts.extend(prompts)
        if any(self._poison in prompt for prompt in prompts):
            raise RuntimeError("out of memory")
        return self._model.generate(encoded, prompts, **options)


def _watched(loaded: Loaded, poison: int = -1) -> tuple[CTranslate2Transcriber, list[list[int]]]:
    prompts: list[list[int]] = []
    model: Any = _Spy(loaded.model, prompts, poison)
    return CTranslate2Transcriber(replace(loaded, model=model), 2), prompts


def test_what_fails_is_told_to_its_window_alone(loaded: Loaded) -> None:
    transcriber, _ = _watched(loaded, poison=411)
    good = [Window(sound(2.0, seed), language="en") for seed in range(5)]
    bad = replace(good[0], prefix=(411,))
    unknown = replace(good[0], language="xx")
    said = transcriber.transcribe([*good[:3], bad, *good[3:], unknown])
    assert isinstance(said[3], EngineFailed)
    assert "out of memory" in str(said[3])
    assert isinstance(said[6], EngineFailed)
    assert "xx" in str(said[6])
    for window, outcome in zip(good, [*said[:3], *said[4:6]], strict=True):
        assert alike(outcome, transcriber.transcribe([window])[0])


def test_a_prefix_that_fills_the_window_is_refused(transcriber: CTranslate2Transcriber) -> None:
    said = transcriber.transcribe([Window(sound(2.0), language="en", prefix=(300,) * 446)])
    assert isinstance(said[0], EngineFailed)


@pytest.mark.parametrize("prefix", [0, 200, 430])
def test_transcripts_without_an_end_are_cut(loaded: Loaded, prefix: int) -> None:
    """The end token is suppressed: nothing but the guard stops such a transcript."""
    special = replace(loaded.special, suppressed=(*loaded.special.suppressed, loaded.special.end))
    transcriber = CTranslate2Transcriber(replace(loaded, special=special), 2)
    forced = tuple(300 + index % 200 for index in range(prefix))
    said = transcriber.transcribe([Window(sound(each), "en", prefix=forced) for each in (0.5, 2.0, 9.0)])
    room = 448 - 5 - prefix
    for seconds, outcome in zip((0.5, 2.0, 9.0), said, strict=True):
        most = min(room, max(USUAL.tokens_at_least, USUAL.most_tokens(seconds) - prefix))
        assert most - 12 < len(tokens(outcome)) <= most
    alone = transcriber.transcribe([Window(sound(0.5), "en", prefix=forced)])[0]
    assert alike(alone, said[0])


def test_times_lie_in_the_window_and_rise(loaded: Loaded) -> None:
    for align, exact, known in (
        ("exact", True, True),
        ("exact", False, False),
        ("always", False, True),
        ("never", True, False),
    ):
        transcriber = CTranslate2Transcriber(loaded, 2, align=align)
        said = transcriber.transcribe([Window(sound(5.0, 4), language="en", exact=exact)])[0]
        assert isinstance(said, Transcript)
        assert said.words
        assert all((word.attended is not None) == known for word in said.words)
        times = [time for each in said.words for time in (each.word.start, each.word.end)]
        assert times == sorted(times)
        assert 0 <= times[0] <= times[-1] <= 5.02


def test_english_only(english_folder: Path) -> None:
    loaded = load(english_folder, "cpu", "float32", 1)
    transcriber = CTranslate2Transcriber(loaded, 1)
    unasked, asked = transcriber.transcribe([Window(sound(3.0)), Window(sound(3.0), language="en")])
    assert isinstance(unasked, Transcript)
    assert unasked.language == "en"
    assert alike(unasked, asked)


def test_the_published_layout(folder: Path, loaded: Loaded, tmp_path: Path) -> None:
    """As faster-whisper's folders are; one whose languages the converter lost still finds them."""
    published = shutil.copytree(converted(folder, "float32"), tmp_path / "published")
    config = (published / "config.json").read_text()
    first, last = min(loaded.special.languages.values()), max(loaded.special.languages.values())
    assert str(first) in config
    assert str(last) in config
    (published / "config.json").write_text(
        config.replace(
            config[config.index('"lang_ids": [') : config.index("]", config.index('"lang_ids": [')) + 1],
            '"lang_ids": []',
        )
    )
    other = load(published, "cpu", "float32", 2)
    assert other.special == loaded.special
    window = Window(sound(4.0, 1), exact=True)
    mine, theirs = (CTranslate2Transcriber(each, 2).transcribe([window])[0] for each in (loaded, other))
    assert alike(mine, theirs)


def test_unknown_options_are_named(loaded: Loaded, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"encoder_context 'short' is unknown; known: padded, silence_tail"):
        CTranslate2Transcriber(loaded, 1, encoder_context="short")
    with pytest.raises(SettingsError, match="align 'sometimes' is unknown"):
        CTranslate2Transcriber(loaded, 1, align="sometimes")
    with pytest.raises(SettingsError, match="no model folder"):
        load(tmp_path / "nowhere", "cpu", "int8", 1)
