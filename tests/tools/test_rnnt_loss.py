"""The vectorised RNNT loss of the training tool against a loop over every cell, and its gradient against differences."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from tools.digits.loss import rnnt_loss  # noqa: E402


def by_cell(logits, labels, blank):
    """Negative log probability of `labels` for one row of (frames, labels + 1, vocabulary), one cell at a time."""
    scores = logits.log_softmax(-1).tolist()
    frames, columns = len(scores), len(labels) + 1
    alpha = [[-math.inf] * columns for _ in range(frames)]
    for t in range(frames):
        for u in range(columns):
            ways = [0.0] if t == u == 0 else []
            if t:
                ways.append(alpha[t - 1][u] + scores[t - 1][u][blank])
            if u:
                ways.append(alpha[t][u - 1] + scores[t][u - 1][labels[u - 1]])
            most = max(ways)
            alpha[t][u] = most + math.log(sum(math.exp(way - most) for way in ways))
    return -(alpha[-1][-1] + scores[-1][-1][blank])


@st.composite
def lattices(draw):
    batch, vocabulary = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    frames = draw(st.lists(st.integers(1, 9), min_size=batch, max_size=batch))
    lengths = draw(st.lists(st.integers(0, 5), min_size=batch, max_size=batch))
    blank = draw(st.integers(0, vocabulary - 1))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    spread = draw(st.sampled_from((0.1, 1.0, 8.0)))
    extra_frames, extra_labels = draw(st.integers(0, 3)), draw(st.integers(0, 2))
    shape = (batch, max(frames) + extra_frames, max(lengths) + extra_labels + 1, vocabulary)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64) * spread
    labels = torch.randint(0, vocabulary - 1, (batch, shape[2] - 1), generator=generator)
    return logits, labels + (labels >= blank), torch.tensor(frames), torch.tensor(lengths), blank


@given(lattices())
@settings(max_examples=150, deadline=None)
def test_loss_is_that_of_a_loop_over_every_cell(lattice):
    logits, labels, frames, lengths, blank = lattice
    losses = rnnt_loss(logits, labels, frames, lengths, blank)
    for row, loss in enumerate(losses.tolist()):
        length = int(lengths[row])
        own = logits[row, : int(frames[row]), : length + 1]
        assert loss == pytest.approx(by_cell(own, labels[row, :length].tolist(), blank), rel=1e-9, abs=1e-9)


@given(lattices())
@settings(max_examples=25, deadline=None)
def test_what_lies_beyond_a_row_pulls_on_nothing(lattice):
    logits, labels, frames, lengths, blank = lattice
    logits = logits.requires_grad_()
    rnnt_loss(logits, labels, frames, lengths, blank).sum().backward()
    assert bool(torch.isfinite(logits.grad).all())
    for row in range(len(frames)):
        assert not logits.grad[row, int(frames[row]) :].any()
        assert not logits.grad[row, :, int(lengths[row]) + 1 :].any()


def test_gradient_is_that_of_finite_differences():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(3, 5, 4, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[0, 1, 1], [2, 0, 0], [1, 1, 1]])
    frames, lengths = torch.tensor([5, 3, 1]), torch.tensor([3, 1, 0])
    assert torch.autograd.gradcheck(lambda given: rnnt_loss(given, labels, frames, lengths, 3), (logits,))


def test_no_alignment_left_out():
    logits = torch.zeros(1, 3, 2, 2)  # every step is an even choice: three blanks and one label, in three orders
    loss = rnnt_loss(logits, torch.tensor([[0]]), torch.tensor([3]), torch.tensor([1]), blank=1)
    assert loss.item() == pytest.approx(-math.log(3 / 2**4), rel=1e-6)
