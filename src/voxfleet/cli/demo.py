"""`voxfleet demo`: the bundled call, live, through a private server, and the truth about how well that went.

Everything is measured here, on the caller's clock, from the moment a sample was due to be sent to the moment a message
arrived; the server's own figures stand beside them.
"""

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from voxfleet.cli import exits
from voxfleet.cli.live_view import live_view
from voxfleet.cli.sample_call import SampleCall, load_sample_call
from voxfleet.cli.supervisor import server_at
from voxfleet.cli.terminal import console, print_error, print_json
from voxfleet.client import StreamOptions
from voxfleet.client.call import FRAME, Outcome, live_call
from voxfleet.evaluation.latency import LatencyMeter, Percentiles, percentiles
from voxfleet.evaluation.wer import WordErrors, normaliser_name, score
from voxfleet.serving.catalog import note_of
from voxfleet.settings import GatewaySettings, Settings, TelemetrySettings, WorkerSettings
from voxfleet.wire.native import ServerMessage
from voxfleet.wire.transcript import document, full_text, lines_of

if TYPE_CHECKING:
    from rich.console import Console

MODEL = "embedded"


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What came of the demo."""

    call: SampleCall
    outcome: Outcome
    errors: WordErrors
    emission: Percentiles | None
    first_partial: Percentiles | None
    final: Percentiles | None

    @property
    def real_time_factor(self) -> float:
        """Clock time from the first sample to `done` ÷ length of the audio; a live call can't be below 1."""
        return self.outcome.seconds / self.call.recording.seconds


async def demo(*, as_json: bool, partials: bool = True) -> int:
    """Run the demo and show it; the exit code. With `as_json` the live view goes to standard error."""
    screen = console(error=as_json)
    call = load_sample_call()
    _headline(screen, call)
    with screen.status("starting a private server", spinner="dots") as status:
        async with server_at(None, demo_settings(), status.update) as address:
            status.stop()
            report = await _hold(screen, call, address, partials=partials)
    if as_json:
        print_json(_document(report))
    else:
        screen.print(_summary(report))
    if not any(final.text for final in report.outcome.finals):
        print_error("nothing was recognised: run `voxfleet doctor` to see what is missing")
        return exits.FAILED
    return exits.OK


def demo_settings() -> Settings:
    """One gateway on a free port and the embedded engine with a place for each channel; nobody's settings file."""
    return replace(
        Settings(),
        gateway=GatewaySettings(port=0),
        telemetry=TelemetrySettings(log_level="warning"),
        workers=(WorkerSettings(model=MODEL, places=2),),
    )


async def _hold(screen: "Console", call: SampleCall, url: str, *, partials: bool) -> DemoReport:
    meter = LatencyMeter(FRAME)
    options = StreamOptions(language="en", sample_rate=call.recording.sample_rate, channels=call.recording.channels)
    with live_view(screen, dict(enumerate(call.speakers)), call.recording.seconds, partials=partials) as view:

        def heard(message: ServerMessage, at: float) -> None:
            meter.heard(message, at)
            view.hear(message, at)

        outcome = await live_call(url, call.recording, options, heard)
    lines = lines_of(outcome.finals)
    errors = sum(
        (
            score(call.said(channel), full_text(line for line in lines if line.channel == channel))
            for channel in range(call.recording.channels)
        ),
        WordErrors(),
    )
    return DemoReport(
        call,
        outcome,
        errors,
        percentiles(meter.emissions()),
        percentiles(meter.first_partials()),
        percentiles(meter.finals()),
    )


def _headline(screen: "Console", call: SampleCall) -> None:
    from rich.markup import escape

    seconds, channels = call.recording.seconds, call.recording.channels
    screen.print(f"\n[bold]Voxfleet demo[/]  {escape(call.title)}")
    screen.print(f"[dim]{seconds:.0f} s, {channels} channels, sent in real time to a server on this machine[/]\n")


def _summary(report: DemoReport) -> Any:
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    rows = Table.grid(padding=(0, 3, 0, 0))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    rows.add_column(style="dim")
    errors, done = report.errors, report.outcome.done
    after = report.outcome.seconds - report.call.recording.seconds
    rate = "–" if errors.rate is None else f"{errors.rate:.1%} WER"
    counts = f"{errors.substitutions} substituted, {errors.deletions} left out, {errors.insertions} added"
    rows.add_row("words", f"{errors.hits} of {errors.reference} right", f"{errors.hypothesis} recognised")
    rows.add_row("errors", rate, counts)
    rows.add_row("real time", f"factor {report.real_time_factor:.2f}", f"done {after:.2f} s after the last sample")
    rows.add_row("emission latency", *_figures(report.emission, "word"))
    rows.add_row("first partial", *_figures(report.first_partial, "turn"))
    rows.add_row("final latency", *_figures(report.final, "turn"))
    if done is not None and done.emission_latency_p95 is not None:
        rows.add_row("server: emission", f"{'':12}p95 {done.emission_latency_p95:.2f} s", "on its own clock")
    if done is not None and done.final_latency_p95 is not None:
        rows.add_row("server: final", f"{'':12}p95 {done.final_latency_p95:.2f} s", "on its own clock")
    notes = (
        f"Words are compared after {normaliser_name()}.",
        "Latency is measured here, outside the server: from when the last sample of a word (or of a turn's last word) "
        f"was due to be sent, to the arrival of the first message with it. A turn ends after "
        f"{report.outcome.ready.endpointing_ms} ms of silence; the final latency includes that.",
        note_of(MODEL),
    )
    return Group(Text(), rows, *(Padding(Text(note, style="dim"), (1, 0, 0, 0)) for note in notes if note), Text())


def _figures(figures: Percentiles | None, of: str) -> tuple[str, str]:
    if figures is None:
        return "–", ""
    return (
        f"p50 {figures.p50:.2f} s   p95 {figures.p95:.2f} s",
        f"{figures.count} {of}s, longest {figures.largest:.2f} s",
    )


def _document(report: DemoReport) -> dict[str, Any]:
    """The report as plain values; seconds, ratios and counts."""
    outcome, errors, seconds = report.outcome, report.errors, report.call.recording.seconds
    done = outcome.done
    return {
        "model": outcome.ready.model,
        "transcript": document(
            lines_of(outcome.finals), duration=seconds, labels=dict(enumerate(report.call.speakers))
        ),
        "words": {"said": errors.reference, "recognised": errors.hypothesis, **asdict(errors)},
        "wer": errors.rate,
        "normaliser": normaliser_name(),
        "real_time_factor": round(report.real_time_factor, 4),
        "done_after": round(outcome.seconds - seconds, 3),
        "emission_latency": _rounded(report.emission),
        "first_partial_latency": _rounded(report.first_partial),
        "final_latency": _rounded(report.final),
        "endpointing_ms": outcome.ready.endpointing_ms,
        "server": {
            "emission_latency_p95": done.emission_latency_p95 if done else None,
            "final_latency_p95": done.final_latency_p95 if done else None,
        },
        "clock": "the caller's: due time of a sample to arrival of the message",
    }


def _rounded(figures: Percentiles | None) -> dict[str, float] | None:
    return None if figures is None else {name: round(value, 3) for name, value in asdict(figures).items()}
