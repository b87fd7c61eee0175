"""`voxfleet transcribe`: recorded files in, transcripts out, through a server somewhere or a private one.

Files go to the server as fast as it recognises them, or with `live` at the pace of a call. A file that fails is named and
the others go on.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from voxfleet.audio.recording import Recording, channels_of, read_recording
from voxfleet.cli import exits
from voxfleet.cli.live_view import live_view
from voxfleet.cli.progress import FileProgress, file_progress
from voxfleet.cli.supervisor import server_at, with_model
from voxfleet.cli.terminal import clock_time, console, print_error, print_json
from voxfleet.client import RemoteError, StreamOptions
from voxfleet.client.call import Outcome, fast_call, live_call
from voxfleet.errors import VoxfleetError
from voxfleet.settings import Settings
from voxfleet.wire.options import Task
from voxfleet.wire.phrases import Phrase
from voxfleet.wire.transcript import Format, document, lines_of, render

if TYPE_CHECKING:
    from rich.console import Console

TRIES = 6
"""Times a call is tried while the server has no place for it; it says itself how long to wait between."""
SUFFIXES = {"text": "txt", "json": "json", "srt": "srt", "vtt": "vtt"}


@dataclass(frozen=True, slots=True)
class Order:
    """What the user asked for."""

    files: tuple[Path, ...]
    style: str
    """text, json, srt or vtt."""
    output: Path | None
    """A folder; None = standard output."""
    live: bool = False
    jobs: int = 2
    language: str = "en"
    model: str | None = None
    grammar: str | None = None
    phrases: tuple[Phrase, ...] = ()
    translate: bool = False
    endpointing_ms: int | None = None

    @property
    def written_in(self) -> str:
        """The language of the transcripts, as far as it is known beforehand."""
        return "en" if self.translate else self.language

    def options(self, recording: Recording) -> StreamOptions:
        """The call of one file."""
        return StreamOptions(
            language=self.language,
            sample_rate=recording.sample_rate,
            channels=recording.channels,
            endpointing_ms=self.endpointing_ms,
            model=self.model,
            grammar=self.grammar,
            phrases=self.phrases,
            translate=self.translate,
        )

    def target(self, file: Path) -> Path | None:
        """Where the transcript of a file is written."""
        return None if self.output is None else self.output / f"{file.stem}.{SUFFIXES[self.style]}"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one file."""

    file: Path
    recording: Recording | None = None
    outcome: Outcome | None = None
    error: VoxfleetError | None = None
    seconds: float = 0.0
    """Clock time it took."""

    def document(self, language: str, *, translated: bool = False) -> dict[str, Any]:
        """As plain values; `language` is that of the text, translated or as it was said."""
        if self.outcome is None or self.recording is None:
            code = getattr(self.error, "remote_code", self.error.code if self.error else None)
            return {"file": str(self.file), "ok": False, "error": {"code": code, "message": str(self.error)}}
        text = document(lines_of(self.outcome.finals), language=language, duration=self.recording.seconds)
        about = {"file": str(self.file), "ok": True, "model": self.outcome.ready.model}
        task = {"task": Task.TRANSLATE.value} if translated else {}
        return about | {"channels": self.recording.channels, "seconds_taken": round(self.seconds, 3)} | text | task


async def transcribe(order: Order, url: str | None, settings: Settings) -> int:
    """Carry out an order; the exit code. Transcripts go to standard output or files, all else to standard error."""
    screen = console(error=True)
    if order.output is not None:
        order.output.mkdir(parents=True, exist_ok=True)
    with screen.status("starting a private server" if not url else "", spinner="dots") as status:
        private = private_settings(settings, order)
        if not url and len(private.workers) == 1:
            order = replace(order, model=None)  # it serves that model only, under a name of its own
        async with server_at(url, private, status.update) as address:
            status.stop()
            work = _live if order.live else _fast
            results = await work(order, address, screen)
    if order.style == "json" and order.output is None:
        failed = sum(result.error is not None for result in results)
        documents = [result.document(order.written_in, translated=order.translate) for result in results]
        print_json({"files": documents, "failed": failed})
    return _exit_code(results)


def private_settings(settings: Settings, order: Order) -> Settings:
    """Settings of a private server for an order: the model asked for, and no more places than the order fills.

    Each place of the embedded engine costs half a second at the start. Places somebody has set stay as they are.
    """
    channels = sorted(map(channels_of, order.files), reverse=True)
    places = sum(channels[: 1 if order.live else order.jobs])
    workers = with_model(settings, order.model, places).workers
    telemetry = replace(settings.telemetry, log_level="warning")
    return replace(
        settings, gateway=replace(settings.gateway, host="127.0.0.1", port=0), telemetry=telemetry, workers=workers
    )


async def _fast(order: Order, url: str, screen: "Console") -> list[Result]:
    """Some files at a time; transcripts are written in the order of the files."""
    jobs = asyncio.Semaphore(order.jobs)
    with file_progress(screen) as progress:

        async def one(file: Path) -> Result:
            async with jobs:
                return await _one_fast(order, file, url, progress)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(file)) for file in order.files]
            results = []
            for task in tasks:
                result = await task
                _write(order, result)
                results.append(result)
    return results


async def _one_fast(order: Order, file: Path, url: str, progress: FileProgress) -> Result:
    number = progress.begin(file.name, 0.0)
    started = monotonic()
    try:
        recording = await asyncio.to_thread(read_recording, file)
        progress.begun(number, recording.seconds)
        for attempt in range(1, TRIES + 1):
            try:
                outcome = await fast_call(
                    url, recording, order.options(recording), lambda seconds: progress.moved(number, seconds)
                )
                break
            except RemoteError as refusal:
                if attempt == TRIES or not refusal.wants_place:
                    raise
                await asyncio.sleep(refusal.retry_after or 1.0)
    except VoxfleetError as error:
        progress.end(number, f"[red]✗[/] {_name(file)}  {_escaped(str(error))}")
        return Result(file, error=error)
    taken = monotonic() - started
    words = sum(len(final.text.split()) for final in outcome.finals)
    speed = recording.seconds / taken
    progress.end(
        number,
        f"[green]✓[/] {_name(file)}  [dim]{clock_time(recording.seconds, tenths=True)} of audio, "
        f"{words} {'word' if words == 1 else 'words'}, "
        f"{taken:.1f} s ({speed:.1f}× real time)[/]",
    )
    return Result(file, recording, outcome, seconds=taken)


async def _live(order: Order, url: str, screen: "Console") -> list[Result]:
    """One file after the other, at the pace of a call."""
    results = []
    shown_is_output = order.style == "text" and order.output is None and console().is_terminal
    view_on = console() if shown_is_output else screen
    for file in order.files:
        if len(order.files) > 1:
            view_on.print(f"[bold]{_name(file)}[/]")
        started = monotonic()
        try:
            recording = await asyncio.to_thread(read_recording, file, live=True)
            names = {c: f"channel {c}" if recording.channels > 1 else "" for c in range(recording.channels)}
            with live_view(view_on, names, recording.seconds) as view:
                outcome = await live_call(url, recording, order.options(recording), view.hear)
        except VoxfleetError as error:
            print_error(str(error), str(file))
            results.append(Result(file, error=error))
            continue
        results.append(Result(file, recording, outcome, seconds=monotonic() - started))
        if not shown_is_output:
            _write(order, results[-1])
    return results


def _write(order: Order, result: Result) -> None:
    """The transcript of one file to where it belongs. JSON for standard output waits until all files are done."""
    if result.outcome is None or result.recording is None:
        return
    target = order.target(result.file)
    if order.style == "json":
        if target is not None:
            import json

            told = result.document(order.written_in, translated=order.translate)
            text = json.dumps(told, ensure_ascii=False, indent=2)
            target.write_text(text + "\n", encoding="utf-8")
        return
    lines = lines_of(result.outcome.finals)
    text = render(Format(order.style), lines, language=order.written_in, duration=result.recording.seconds)
    if target is not None:
        target.write_text(text, encoding="utf-8")
        return
    import sys

    heading = f"==> {result.file} <==\n" if len(order.files) > 1 else ""
    sys.stdout.write(heading + text)
    sys.stdout.flush()


def _exit_code(results: Sequence[Result]) -> int:
    codes = [exits.OK if result.error is None else exits.code_of(result.error) for result in results]
    return exits.code_of_many(codes)


def _name(file: Path) -> str:
    return _escaped(file.name)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
