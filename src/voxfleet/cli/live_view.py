"""How a live transcript looks: finals stay, and one line per channel below them shows what is being said now.

On a terminal the live lines are repainted in place; stable words are plain, words that may still change are dim. Elsewhere
(a pipe, a log) every message is a line of its own, partials at most once a second and channel.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from voxfleet.cli.terminal import clock_time
from voxfleet.wire.native import FinalMessage, PartialMessage, ServerMessage, SpeechStartedMessage, WarningMessage

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")
REPAINTS = 10
"""A second: partials come at most five times a second and channel."""
PLAIN_PARTIAL = 1.0
"""Seconds between two partials of a channel where they can't be repainted."""


class LiveView(Protocol):
    """Shown every message of one call, in the order and at the moment they arrive."""

    def hear(self, message: ServerMessage, at: float) -> None:
        """`at` is seconds since stream time zero."""
        ...


@contextmanager
def live_view(
    console: Console, names: Mapping[int, str], seconds: float, *, partials: bool = True
) -> Iterator[LiveView]:
    """A view of a call of `seconds` with these channels; `names` has each channel's name, '' for none.

    The terminal is left clean whatever happens.
    """
    if not console.is_terminal or console.is_dumb_terminal:
        yield PlainView(console, names, partials=partials)
        return
    view = TerminalView(console, names, seconds, partials=partials)
    with Live(
        get_renderable=view.now, console=console, refresh_per_second=REPAINTS, transient=True, redirect_stdout=False
    ):
        yield view


class TerminalView:
    """Finals above, one live line per channel and the time below."""

    def __init__(self, console: Console, names: Mapping[int, str], seconds: float, *, partials: bool) -> None:
        self._console = console
        self._names = names
        self._seconds = seconds
        self._partials = partials
        self._speaking: dict[int, PartialMessage | None] = {}
        self._began: float | None = None
        self._started = monotonic()

    def hear(self, message: ServerMessage, at: float) -> None:
        self._began = monotonic() - at
        match message:
            case SpeechStartedMessage():
                self._speaking.setdefault(message.channel, None)
            case PartialMessage():
                self._speaking[message.channel] = message
            case FinalMessage():
                shown = self._speaking.get(message.channel)
                if shown is None or shown.turn <= message.turn:
                    self._speaking.pop(message.channel, None)
                if message.text:
                    self._console.print(_spoken(_begin(message), self._names, message.channel, Text(message.text)))
            case WarningMessage():
                self._console.print(f"[yellow]warning:[/] {escape(message.message)}")

    def now(self) -> RenderableType:
        """The live lines at this moment."""
        rows: list[RenderableType] = [Text()]
        if self._partials:
            rows.extend(self._channel(channel) for channel in sorted(self._names))
        at = min(monotonic() - (self._began if self._began is not None else self._started), self._seconds)
        rows.append(self._clock(at))
        return Group(*rows)

    def _channel(self, channel: int) -> RenderableType:
        if channel not in self._speaking:
            return _spoken(None, self._names, channel, Text("·", style="dim"))
        partial = self._speaking[channel]
        if partial is None:
            return _spoken(None, self._names, channel, Text("…", style="dim"), mark=True)
        text = Text.assemble(partial.stable, " " if partial.stable else "", (partial.unstable, "dim italic"))
        room = max(self._console.width - _margin(self._names) - 1, 10)
        if text.cell_len > room:
            text = Text("…", style="dim") + text[-(room - 1) :]
        return _spoken(None, self._names, channel, text, mark=True)

    def _clock(self, at: float) -> Text:
        width = max(min(self._console.width - _margin(self._names) - 16, 40), 4)
        done = math.floor(width * at / self._seconds) if self._seconds else 0
        return Text.assemble(
            " " * _margin(self._names),
            ("━" * done, "green"),
            ("━" * (width - done), "bright_black"),
            (f" {clock_time(at)} / {clock_time(self._seconds)}", "dim"),
        )


class PlainView:
    """One line per message, for pipes and logs."""

    def __init__(self, console: Console, names: Mapping[int, str], *, partials: bool) -> None:
        self._console = console
        self._names = names
        self._partials = partials
        self._last: dict[int, tuple[float, str]] = {}

    def hear(self, message: ServerMessage, at: float) -> None:
        match message:
            case PartialMessage() if self._partials:
                text = f"{message.stable} {message.unstable}".strip()
                told_at, told = self._last.get(message.channel, (-math.inf, ""))
                if text and text != told and at - told_at >= PLAIN_PARTIAL:
                    self._last[message.channel] = (at, text)
                    self._line("", message.channel, f"… {text}")
            case FinalMessage() if message.text:
                self._last.pop(message.channel, None)
                self._line(clock_time(_begin(message), tenths=True), message.channel, message.text)
            case WarningMessage():
                self._console.print(f"warning: {message.message}", markup=False, soft_wrap=True)

    def _line(self, time: str, channel: int, text: str) -> None:
        name = self._names.get(channel, "")
        label = f"{name:{max(map(len, self._names.values()))}}  " if name else ""
        self._console.print(f"{time:>7}  {label}{text}", markup=False, soft_wrap=True)


def _begin(final: FinalMessage) -> float:
    return final.words[0].start if final.words else final.start


def _margin(names: Mapping[int, str]) -> int:
    """Columns before the words: the time, a mark, and the longest name."""
    longest = max((len(name) for name in names.values()), default=0)
    return 9 + (longest + 2 if longest else 0)


def _spoken(
    at: float | None, names: Mapping[int, str], channel: int, text: Text, *, mark: bool = False
) -> RenderableType:
    """One row: time, speaker, words; words that don't fit go on below themselves."""
    colour = COLOURS[channel % len(COLOURS)]
    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_column(width=7, justify="right")
    if any(names.values()):
        row.add_column(width=max(map(len, names.values())))
    row.add_column()
    time = Text(clock_time(at, tenths=True), style="dim") if at is not None else Text("▌" if mark else " ", colour)
    name = [Text(names.get(channel, ""), style=colour)] if any(names.values()) else []
    row.add_row(time, *name, text)
    return row
