"""How numbers are written, on the page and in the terminal: units, decimals, and the interval beside every estimate."""

import math

from voxfleet.evaluation.report.document import Figure, Words

NONE = "–"
"""What stands where there is no figure."""

_NARROW = "\u00a0"


def seconds(value: float) -> str:
    """Without its unit: two decimals, three below a tenth of a second."""
    return bare(Figure(value), "seconds")


def percent(share: float) -> str:
    """Without its unit; tenths of a per cent, hundredths below one."""
    return bare(Figure(share), "share")


def points(share: float) -> str:
    """A difference of shares in percentage points, always with its sign."""
    return _signed(f"{100 * share:+.2f}")


def number(value: float) -> str:
    """A count with thin groups, or two decimals."""
    if value == math.floor(value):
        return _signed(f"{value:,.0f}").replace(",", "\u202f")
    return _signed(f"{value:.2f}")


def duration(value: float) -> str:
    """Seconds as people say them: 42 s, 12 min 30 s, 3 h 5 min."""
    whole = round(value)
    if whole < 120:
        return f"{number(round(value, 1))}{_NARROW}s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}{_NARROW}h {minutes}{_NARROW}min"
    return f"{minutes}{_NARROW}min" + (f" {left}{_NARROW}s" if left else "")


def size(count: int) -> str:
    """Bytes in decimal units."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f}{_NARROW}{unit}" if unit == "B" or value >= 100 else f"{value:.1f}{_NARROW}{unit}"


_SUFFIXES = {"share": "%", "seconds": "s", "points": "points", "count": ""}


def value_of(figure: Figure, unit: str) -> str:
    """The estimate alone, with its unit: "12.3 %", "0.93 s", "1.40 words per minute"."""
    suffix = _SUFFIXES.get(unit, unit)
    return bare(figure, unit) + (f"{_NARROW}{suffix}" if suffix else "")


def bare(figure: Figure, unit: str) -> str:
    """The estimate without its unit."""
    return _written(figure.value, figure, unit)


def interval_of(figure: Figure, unit: str) -> str:
    """The interval alone, without its unit: "[11.0, 13.7]"; empty where there is none."""
    if figure.low is None or figure.high is None:
        return ""
    return f"[{_written(figure.low, figure, unit)}, {_written(figure.high, figure, unit)}]"


def _written(value: float, figure: Figure, unit: str) -> str:
    """With the decimals that suit the whole figure, so that an estimate and its interval read alike."""
    widest = max(abs(end) for end in (figure.value, figure.low, figure.high) if end is not None)
    match unit:
        case "seconds":
            return _signed(f"{value:.3f}" if 0 < widest < 0.0995 else f"{value:.2f}")
        case "share":
            return _signed(f"{100 * value:.2f}" if 0 < widest < 0.00995 else f"{100 * value:.1f}")
        case "points":
            return points(value)
        case _:
            return number(value)


def estimate(figure: Figure | None, unit: str) -> str:
    """The estimate and its interval in one line: "0.93 s [0.90, 0.97]"."""
    if figure is None:
        return NONE
    return f"{value_of(figure, unit)} {interval_of(figure, unit)}".rstrip()


def plural(count: int, one: str, many: str | None = None) -> str:
    """ "1 caller", "400 callers"."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def spoken(words: Words) -> int:
    """Words of the reference."""
    return words.hits + words.substitutions + words.deletions


def errors(words: Words) -> int:
    return words.substitutions + words.deletions + words.insertions


def _signed(text: str) -> str:
    return text.replace("-", "−")
