"""What a person sees of a live call, on a terminal and in a pipe."""

import io

import pytest
from rich.console import Console

from voxfleet.cli.live_view import PlainView, TerminalView, live_view
from voxfleet.wire.native import (
    FinalMessage,
    PartialMessage,
    ServerMessage,
    SpeechStartedMessage,
    WarningMessage,
    WordMessage,
)

NAMES = {0: "agent", 1: "customer"}


@pytest.fixture(autouse=True)
def terminal_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that can move its cursor, whatever the tests are started from."""
    monkeypatch.setenv("TERM", "xterm-256color")


def partial(text: str, unstable: str = "", *, channel: int = 0, turn: int = 0, end: float = 1.0) -> PartialMessage:
    return PartialMessage(channel, turn, 0.0, end, text, unstable)


def final(text: str, *, channel: int = 0, turn: int = 0, start: float = 0.7) -> FinalMessage:
    return FinalMessage(channel, turn, start, start + 1, text, [WordMessage(text, start, start + 1)])


def plain(*messages: tuple[float, ServerMessage], partials: bool = True, names: dict[int, str] | None = None) -> str:
    out = io.StringIO()
    view = PlainView(Console(file=out, width=60), names or NAMES, partials=partials)
    for at, message in messages:
        view.hear(message, at)
    return out.getvalue()


def seen(view: TerminalView, width: int = 60) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(view.now())
    return [line.rstrip() for line in out.getvalue().splitlines()]


def terminal(width: int = 60) -> tuple[TerminalView, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None)
    return TerminalView(console, NAMES, 40.0, partials=True), out


def test_lines_have_time_and_speaker() -> None:
    assert plain((1.2, partial("good", "mor")), (2.0, final("good morning"))) == (
        "         agent     … good mor\n 0:00.7  agent     good morning\n"
    )


def test_a_single_channel_needs_no_name() -> None:
    assert plain((2.0, final("yes")), names={0: ""}) == " 0:00.7  yes\n"


def test_plain_partials_come_at_most_once_a_second_and_channel_and_only_when_changed() -> None:
    text = plain(
        (1.0, partial("a")),
        (1.5, partial("a b")),
        (1.6, partial("x", channel=1)),
        (2.1, partial("a b c")),
        (3.5, partial("a b c")),
    )
    assert [line.split("… ")[1] for line in text.splitlines()] == ["a", "x", "a b c"]


def test_partials_may_be_left_out() -> None:
    assert plain((1.0, partial("a")), partials=False) == ""


def test_empty_finals_are_no_line_and_warnings_are() -> None:
    assert plain((1.0, final(""))) == ""
    assert plain((1.0, WarningMessage("odd", "something [odd]"))) == "warning: something [odd]\n"


def test_long_plain_lines_are_not_broken() -> None:
    assert plain((1.0, final("word " * 40 + "end"))).count("\n") == 1


def test_the_terminal_has_one_line_per_channel_and_the_time() -> None:
    view, _ = terminal()
    view.hear(partial("i am", "very sorry", channel=1), 10.0)
    blank, agent, customer, clock = seen(view)
    assert blank == ""
    assert "agent" in agent
    assert agent.endswith("·")
    assert customer.endswith("customer  i am very sorry")
    assert clock.endswith("0:10 / 0:40")


def test_a_partial_too_long_for_its_line_shows_its_end() -> None:
    view, _ = terminal(50)
    view.hear(partial("one " * 30, "the end"), 10.0)
    line = seen(view, 50)[1]
    assert len(line) <= 50
    assert line.endswith("the end")
    assert "…" in line


def test_a_final_becomes_permanent_and_empties_its_live_line() -> None:
    view, out = terminal()
    view.hear(SpeechStartedMessage(0, 0, 0.5), 0.9)
    assert seen(view)[1].endswith("…")
    view.hear(partial("good morning"), 1.0)
    view.hear(final("good morning"), 2.0)
    assert "0:00.7  agent     good morning" in out.getvalue()
    assert seen(view)[1].endswith("·")


def test_a_final_of_an_earlier_turn_leaves_the_words_being_spoken() -> None:
    view, _ = terminal()
    view.hear(partial("and now", turn=1), 2.0)
    view.hear(final("good morning", turn=0), 2.1)
    assert seen(view)[1].endswith("and now")


def test_markup_in_words_is_text() -> None:
    view, out = terminal()
    view.hear(partial("[bold]", "[/]"), 1.0)
    assert seen(view)[1].endswith("[bold] [/]")
    view.hear(final("[red]stop"), 2.0)
    assert "[red]stop" in out.getvalue()


def test_the_cursor_is_given_back_whatever_happens() -> None:
    out = io.StringIO()
    console = Console(file=out, width=60, force_terminal=True)
    try:
        with live_view(console, NAMES, 40.0) as view:
            view.hear(partial("good"), 1.0)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    hidden, shown = out.getvalue().rfind("\x1b[?25l"), out.getvalue().rfind("\x1b[?25h")
    assert 0 <= hidden < shown
