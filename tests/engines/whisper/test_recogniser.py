"""Windows in, transcripts out: those of the reference, whoever shares the batch, with times inside the audio."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.engines.whisper.folders import needed
from voxfleet.engines.whisper.layout import Layout
from voxfleet.engines.whisper.loading import Loading, Machine, load_model
from voxfleet.engines.whisper.recogniser import WhisperTranscriber
from voxfleet.engines.windowed.transcriber import Transcript, Window
from voxfleet.errors import EngineFailed

transformers = needed("transformers")


def sound(seconds: float, seed: int) -> NDArray[np.int16]:
    """Something that changes."""
    draws, samples = np.random.default_rng(seed), int(seconds * 16_000)
    pitch = np.repeat(draws.uniform(100, 3_000, samples // 1_600 + 1), 1_600)[:samples]
    wave = np.sin(np.cumsum(pitch) * 2 * np.pi / 16_000) + 0.1 * draws.standard_normal(samples)
    return (wave * 8_000).astype(np.int16)


SOUNDS = [sound(seconds, seed) for seed, seconds in enumerate((1.0, 3.7, 0.5, 8.2, 2.5, 29.0))]


@pytest.fixture(scope="module")
def loading(tiny_folder: Path) -> Loading:
    return load_model(str(tiny_folder), Machine(rows=6, threads=1))


@pytest.fixture(scope="module")
def transcriber(loading: Loading) -> WhisperTranscriber:
    return loading.transcriber


def heard(transcriber: WhisperTranscriber, *windows: Window) -> list[Transcript]:
    found = []
    for one in transcriber.transcribe(windows):
        assert isinstance(one, Transcript), one
        found.append(one)
    return found


def tokens(transcript: Transcript) -> tuple[int, ...]:
    return tuple(token for word in transcript.words for token in word.tokens)


def texts(transcript: Transcript) -> list[str]:
    return [word.word.text for word in transcript.words]


@pytest.mark.parametrize("beams", [1, 5])
def test_transcripts_are_the_references(tiny_folder: Path, transcriber: WhisperTranscriber, beams: int) -> None:
    """From samples to words, through features, encoder, forced start, suppression and decoding."""
    model = transformers.WhisperForConditionalGeneration.from_pretrained(tiny_folder).eval()
    extract = transformers.WhisperFeatureExtractor.from_pretrained(tiny_folder)
    special = Layout.read(tiny_folder).special
    silent = sorted({*special.suppressed, *range(special.end + 1, model.config.vocab_size)})
    first = list(special.suppressed_first)
    windows = [Window(samples, "ro", careful=beams > 1) for samples in SOUNDS[:4]]
    differing = 0
    for samples, one in zip(SOUNDS, heard(transcriber, *windows), strict=False):
        features = extract(samples / np.float32(32_768), sampling_rate=16_000, return_tensors="pt").input_features
        most = 20 + int(20 * len(samples) / 16_000)
        with torch.inference_mode():
            said = model.generate(
                features, language="ro", task="transcribe", num_beams=beams, max_new_tokens=min(most, 224),
                suppress_tokens=silent, begin_suppress_tokens=first, return_timestamps=False,
            )[0].tolist()  # fmt: skip
        assert tokens(one) == tuple(token for token in said if token < special.end)
        differing += len(tokens(one)) > 0
    assert differing > 2


def test_the_company_changes_nothing(transcriber: WhisperTranscriber) -> None:
    windows = [Window(samples, "en") for samples in SOUNDS]
    windows += [
        replace(windows[3], careful=True),
        replace(windows[1], language=""),
        replace(windows[2], translate=True),
    ]
    together = heard(transcriber, *windows)
    for window, one in zip(windows, together, strict=True):
        (alone,) = heard(transcriber, window)
        assert texts(one) == texts(alone)
        assert tokens(one) == tokens(alone)
        assert one.language == alone.language
        for here, there in zip(one.words, alone.words, strict=True):
            assert here.word.start == pytest.approx(there.word.start, abs=0.021)
            assert here.word.confidence == pytest.approx(there.word.confidence, abs=1e-3)
        assert one.no_speech == pytest.approx(alone.no_speech, abs=1e-4)
        assert one.log_probability == pytest.approx(alone.log_probability, abs=1e-3)
    assert len({tuple(texts(one)) for one in together}) > 4


def test_drafts_and_prefixes_change_nothing(transcriber: WhisperTranscriber) -> None:
    free = heard(transcriber, *(Window(samples, "en") for samples in SOUNDS))
    before = transcriber.counters()
    for part in (0.5, 1.0):
        windows = []
        for samples, one in zip(SOUNDS, free, strict=True):
            said = tokens(one)
            settled = said[: len(said) // 3]
            windows.append(Window(samples, "en", prefix=settled, draft=said[len(settled) : int(part * len(said))]))
        for window, one, again in zip(windows, free, heard(transcriber, *windows), strict=True):
            assert tokens(again) == tokens(one)[len(window.prefix) :]
            last = [word for word in one.words if word.tokens][-len(again.words) :] if again.words else []
            for here, there in zip(last[1:], again.words[1:], strict=True):  # the first may be half settled
                assert here.word == there.word or here.word.start == pytest.approx(there.word.start, abs=0.021)
    after = transcriber.counters()
    assert after["accepted"] - before["accepted"] == after["offered"] - before["offered"] > 0


def test_times_lie_in_the_audio_and_run_forward(transcriber: WhisperTranscriber) -> None:
    for samples, one in zip(SOUNDS, heard(transcriber, *(Window(samples, "en") for samples in SOUNDS)), strict=True):
        edges = [time for word in one.words for time in (word.word.start, word.word.end)]
        assert edges == sorted(edges)
        assert all(0 <= time <= len(samples) / 16_000 + 1e-6 for time in edges)
        for word in one.words:
            assert word.attended is not None
            assert 0 < word.attended <= len(samples) / 16_000 + 0.02
            assert word.word.confidence is not None
            assert 0 < word.word.confidence <= 1


def test_a_prompt_is_seen_and_cut_to_fit(transcriber: WhisperTranscriber) -> None:
    window = Window(SOUNDS[1], "en")
    (free,), (long,) = heard(transcriber, window), heard(transcriber, replace(window, prompt=tuple(range(300, 700))))
    (cut,) = heard(transcriber, replace(window, prompt=tuple(range(700 - 223, 700))))
    assert tokens(long) == tokens(cut) != tokens(free)


def test_the_language_is_found_where_none_is_given(transcriber: WhisperTranscriber) -> None:
    found = heard(transcriber, *(Window(samples) for samples in SOUNDS))
    for samples, one in zip(SOUNDS, found, strict=True):
        (named,) = heard(transcriber, Window(samples, one.language))
        assert tokens(named) == tokens(one)
    assert all(one.language for one in found)


def test_english_models_need_no_language(tiny_english_folder: Path) -> None:
    loading = load_model(str(tiny_english_folder), Machine(threads=1))
    assert not loading.multilingual
    assert loading.languages == ("en",)
    (one,) = heard(loading.transcriber, Window(SOUNDS[0]))
    assert one.language == "en"


def test_what_cannot_be_decoded_fails_alone(transcriber: WhisperTranscriber) -> None:
    good = Window(SOUNDS[0], "en")
    windows = [good, Window(sound(30.1, 1), "en"), replace(good, prefix=(300,) * 447), Window(SOUNDS[0], "xx"), good]
    found = transcriber.transcribe(windows)
    assert [isinstance(one, EngineFailed) for one in found] == [False, True, True, True, False]
    assert "30.1 s" in str(found[1])
    assert "447 tokens" in str(found[2])
    assert "'xx'" in str(found[3])


def test_numbers_that_are_none_fail_their_window_alone(tiny_folder: Path, transcriber: WhisperTranscriber) -> None:
    """One position of the decoder has no number: windows that come to it fail, those beside them don't."""
    windows = [Window(samples, "en") for samples in SOUNDS]
    good = heard(transcriber, *windows)
    sizes = sorted(len(tokens(one)) for one in good)
    position = 3 + (sizes[2] + sizes[3] + 1) // 2
    broken = load_model(str(tiny_folder), Machine(rows=4, threads=1)).transcriber
    broken._model.decoder.embed_positions.weight[position] = torch.nan
    found = broken.transcribe(windows)
    fails = [3 + len(tokens(one)) >= position for one in good]
    assert [isinstance(one, EngineFailed) for one in found] == fails
    assert 0 < sum(fails) < len(fails)
    for expected, one in zip(good, found, strict=True):
        if isinstance(one, Transcript):
            assert texts(one) == texts(expected)


def test_nothing_is_a_window_too(transcriber: WhisperTranscriber) -> None:
    (one,) = heard(transcriber, Window(np.zeros(0, np.int16), "en"))
    assert all(word.word.end <= 0.021 for word in one.words)
    assert list(transcriber.transcribe([])) == []


def test_the_silence_tail_of_a_full_window_changes_nothing(tiny_folder: Path, transcriber: WhisperTranscriber) -> None:
    """30 s are encoded whole either way; less is encoded shorter."""
    tail = load_model(str(tiny_folder), Machine(rows=6, threads=1, encoder_context="silence_tail")).transcriber
    full = Window(SOUNDS[5], "en")
    (one,), (other,) = heard(tail, full), heard(transcriber, full)
    assert tokens(one) == tokens(other)
    assert one.log_probability == pytest.approx(other.log_probability, abs=1e-5)
    hearing = tail._hearing
    with torch.inference_mode():
        whole = transcriber._hearing.encode([SOUNDS[5]], 1_500)
        assert (hearing.encode([SOUNDS[5]], hearing.positions(len(SOUNDS[5]))) - whole).abs().max() < 1e-5
    before = tail.counters()["positions"]
    windows = [Window(samples, "en") for samples in SOUNDS[:5]]
    together = heard(tail, *windows)
    assert tail.counters()["positions"] - before == 50 * (2 + 6 + 2 + 10 + 4)
    assert [tokens(one) for one in together] == [tokens(heard(tail, window)[0]) for window in windows]


def test_silence_is_kept_as_it_is_encoded(tiny_folder: Path) -> None:
    """A window of silence is the same with a tail of silence as encoded whole, but for the edge of what was encoded."""
    tail = load_model(str(tiny_folder), Machine(rows=2, threads=1, encoder_context="silence_tail")).transcriber
    with torch.inference_mode():
        whole = tail._hearing.encode([np.zeros(0, np.int16)], 1_500)
        for layer, (keys, values) in enumerate(tail._hearing.silence):
            expected = tail._model.keys_and_values(layer, whole)
            assert torch.equal(keys, expected[0][0])
            assert torch.equal(values, expected[1][0])


def test_a_script_decides_length_and_drafts(tiny_folder: Path) -> None:
    transcriber = load_model(str(tiny_folder), Machine(rows=4, threads=1)).transcriber
    transcriber.rehearse(tokens_per_second=4.0, changing=2)
    (first,) = heard(transcriber, Window(SOUNDS[3], "en"))
    said = tokens(first)
    before = transcriber.counters()
    (second,) = heard(transcriber, Window(SOUNDS[3], "en", prefix=said[:5], draft=said[5:]))
    after = transcriber.counters()
    assert len(said) == round(4 * 8.2)
    assert len(tokens(second)) == len(said) - 5
    assert tokens(second)[:-2] == said[5:-2]
    assert all(len(word.tokens) == 1 for word in first.words)
    assert after["offered"] - before["offered"] == len(said) - 5
    assert len(said) - 7 <= after["accepted"] - before["accepted"] <= len(said) - 5
    # The pass says the first of those that changed; two steps say the other and the end.
    assert after["steps"] - before["steps"] <= 2


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_other_precisions_run(tiny_folder: Path, precision: str) -> None:
    if precision == "int8":
        needed("torchao")
    other = load_model(str(tiny_folder), Machine(rows=4, threads=1, precision=precision)).transcriber
    for one in heard(other, *(Window(samples, "en") for samples in SOUNDS[:3])):
        assert np.isfinite(one.log_probability)
