"""The network says what the reference says, position by position."""

import pytest
import torch
from torch import Tensor

from tests.engines.whisper.networks import HEADS, SHAPE, SPECIAL, Bench, entry, ours, reference
from voxfleet.engines.whisper.model import Whisper, attend


class Plain:
    """Memory of one whole pass over tokens, as the reference makes it."""

    def __init__(self, model: Whisper, encoded_btd: Tensor) -> None:
        self.model, self.encoded_btd = model, encoded_btd

    def own(self, layer: int, query_bld: Tensor, key_bld: Tensor, value_bld: Tensor) -> Tensor:
        return attend(query_bld, key_bld, value_bld, self.model.shape.decoder_heads, causal=True)

    def heard(self, layer: int, query_bld: Tensor) -> Tensor:
        keys, values = self.model.keys_and_values(layer, self.encoded_btd)
        return attend(query_bld, keys, values, self.model.shape.decoder_heads)


@pytest.mark.parametrize("seed", range(3))
def test_encoder_and_decoder_equal_the_reference(seed: int) -> None:
    theirs = reference(seed)
    model = ours(theirs)
    mel = torch.randn(2, SHAPE.mels, 2 * SHAPE.source, generator=torch.Generator().manual_seed(seed))
    tokens = torch.randint(0, SHAPE.vocabulary, (2, 20), generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        expected = theirs(input_features=mel, decoder_input_ids=tokens)
        encoded = model.encoder(mel)
        known = model.decoder(tokens, torch.arange(20).expand(2, 20), Plain(model, encoded))
        logits = model.decoder.logits(known)
    assert expected.encoder_last_hidden_state.std() > 0.5
    assert (encoded - expected.encoder_last_hidden_state).abs().max() < 1e-4
    assert (logits - expected.logits).abs().max() < 1e-4


def test_an_encoder_hears_shorter_windows() -> None:
    model = ours(reference(0))
    with torch.inference_mode():
        assert model.encoder(torch.randn(3, SHAPE.mels, 40)).shape == (3, 20, SHAPE.hidden)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near(dtype: torch.dtype) -> None:
    """Weights of the usual scale: those of `reference` are ten times as loud."""
    torch.manual_seed(0)
    exact, half = Whisper(SHAPE).eval(), Whisper(SHAPE).eval()
    half.load_state_dict(exact.state_dict())
    half.to(dtype)
    mel = torch.randn(2, SHAPE.mels, 2 * SHAPE.source)
    tokens = torch.randint(0, SHAPE.vocabulary, (2, 8))
    positions = torch.arange(8).expand(2, 8)
    with torch.inference_mode():
        near = half.decoder.logits(half.decoder(tokens, positions, Plain(half, half.encoder(mel.to(dtype)))))
        sure = exact.decoder.logits(exact.decoder(tokens, positions, Plain(exact, exact.encoder(mel))))
    assert near.dtype is torch.float32
    assert (near - sure).abs().mean() < 0.05 * sure.abs().mean()


def test_no_speech_and_scores_are_the_references() -> None:
    theirs = reference(1).double()
    bench = Bench(ours(theirs), heads=HEADS)
    encoded = torch.randn(1, SHAPE.source, SHAPE.hidden, generator=torch.Generator().manual_seed(1)).double()
    (found,) = bench.run([entry(prompt=(7, 8))], encoded)
    tokens = torch.tensor([[*found.entry.head, *found.tokens]])
    with torch.inference_mode():
        logits = theirs(encoder_outputs=(encoded,), decoder_input_ids=tokens).logits[0]
    start = found.entry.start
    assert found.no_speech == pytest.approx(float(logits[start].softmax(0)[SPECIAL.no_speech]), rel=1e-5)
    allowed = [token for token in range(SPECIAL.end + 1) if token not in SPECIAL.suppressed]
    first = [token for token in allowed if token not in SPECIAL.suppressed_first]
    for place, (token, score) in enumerate(zip((*found.tokens, SPECIAL.end), found.scores, strict=False)):
        heard = first if place == 0 else allowed
        expected = logits[found.entry.begin - 1 + place][heard].log_softmax(0)[heard.index(token)]
        assert score == pytest.approx(float(expected), abs=1e-5)
