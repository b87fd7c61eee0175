"""How numbers read."""

import pytest

from voxfleet.evaluation.report.document import Figure
from voxfleet.evaluation.report.markup import Markup, tag
from voxfleet.evaluation.report.numbers import duration, estimate, number, plural, size


@pytest.mark.parametrize(
    ("figure", "unit", "expected"),
    [
        (Figure(0.93, 0.9, 0.97), "seconds", "0.93 s [0.90, 0.97]"),
        (Figure(-0.042), "seconds", "−0.042 s"),
        (Figure(0.0, 0.0, 0.02), "seconds", "0.000 s [0.000, 0.020]"),
        (Figure(0.123, 0.11, 0.137), "share", "12.3 % [11.0, 13.7]"),
        (Figure(0.0012), "share", "0.12 %"),
        (Figure(0.0), "share", "0.0 %"),
        (Figure(0.019, -0.001, 0.027), "points", "+1.90 points [−0.10, +2.70]"),
        (Figure(1.4, 0.6, 2.5), "words per minute", "1.40 words per minute [0.60, 2.50]"),
        (Figure(1_600_412), "count", "1 600 412"),
        (None, "share", "–"),
    ],
)
def test_figures(figure: Figure | None, unit: str, expected: str) -> None:
    assert estimate(figure, unit).replace("\u00a0", " ").replace("\u202f", " ") == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (duration(42), "42 s"),
        (duration(0.34), "0.30 s"),
        (duration(750), "12 min 30 s"),
        (duration(10_800), "3 h 0 min"),
        (size(999), "999 B"),
        (size(71_400_000), "71.4 MB"),
        (size(2_048_000_000_000), "2.0 TB"),
        (number(-3), "−3"),
        (plural(1, "caller"), "1 caller"),
        (plural(0, "caller"), "0 callers"),
    ],
)
def test_words(written: str, expected: str) -> None:
    assert written.replace("\u00a0", " ") == expected


def test_only_markup_is_not_escaped() -> None:
    assert tag("p", "<b>", tag("b", '"&"'), None, title='"><i>') == (
        '<p title="&quot;&gt;&lt;i&gt;">&lt;b&gt;<b>&quot;&amp;&quot;</b></p>'
    )
    assert tag("input", hidden=True, checked=False, aria_label="x", class_=None) == '<input hidden aria-label="x">'
    assert isinstance(tag("p", ["a", ["b"]]), Markup)
