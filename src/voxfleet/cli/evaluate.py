"""`voxfleet evaluate`: the same recordings heard offline and live, scored alike; other systems' texts too."""

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voxfleet.cli import exits
from voxfleet.cli.evaluate_view import show_evaluation
from voxfleet.cli.measure import (
    HARMLESS,
    bars,
    created,
    need,
    on_interrupt,
    problems_of,
    run_loop,
    sample_manifest,
    steps,
    this_command,
    this_machine,
)
from voxfleet.cli.supervisor import server_at, with_model
from voxfleet.cli.terminal import console, print_json
from voxfleet.evaluation.accuracy.evaluation import from_hypotheses, report, unit_rule
from voxfleet.evaluation.accuracy.hearing import Asked, Heard, Mode, hear_all
from voxfleet.evaluation.accuracy.scored import Rules
from voxfleet.evaluation.faults import BadManifest, BadOption
from voxfleet.evaluation.manifests.hypotheses import read_hypotheses
from voxfleet.evaluation.manifests.items import Item, Manifest
from voxfleet.evaluation.manifests.read import read_manifest
from voxfleet.evaluation.manifests.references import attach_references
from voxfleet.evaluation.report.document import About, EvaluationReport, Target, to_json
from voxfleet.evaluation.report.write import write
from voxfleet.evaluation.sound.line import Line
from voxfleet.evaluation.sound.nonspeech import write as write_non_speech
from voxfleet.evaluation.text.normalise import Normaliser
from voxfleet.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


@dataclass(frozen=True, slots=True)
class EvaluateOrder:
    """What the user asked for."""

    url: str | None
    audio: Path | None
    """A manifest; None: the bundled call."""
    audio_root: Path | None
    references: Path | None
    """Segmented references (STM, CTM, RTTM, SegLST) to attach."""
    hypotheses: tuple[Path, ...]
    """Texts of other systems; with them and no mode nothing is heard."""
    modes: tuple[Mode, ...]
    match: str
    limit: int
    at_once: int
    non_speech: bool
    line: Line
    language: str
    model: str | None
    api_key: str | None
    normaliser: Normaliser | None
    unit: str | None
    slices: tuple[str, ...] | None
    terms: tuple[str, ...]
    clips: int
    seed: int
    title: str | None
    report: Path | None
    as_json: bool


def evaluate(order: EvaluateOrder, settings: Settings) -> int:
    """Carry out an order; the exit code."""
    need("voxfleet evaluate", "scipy")
    screen = console(error=order.as_json)
    manifest = _manifest(order)
    with bars(screen) as progress, tempfile.TemporaryDirectory(prefix="voxfleet-sounds-") as folder:
        items = _chosen(order, manifest, Path(folder))
        unit, why = unit_rule(order.unit, items)
        rules = Rules(order.language, order.normaliser, unit, order.slices, order.terms)
        heard: dict[str, Sequence[Heard]] = {}
        problems = problems_of(manifest.bad, order.match)
        for path in order.hypotheses:
            found = read_hypotheses(path)
            heard[found.path.stem] = from_hypotheses(items, found)
            problems += problems_of(found.bad)
        hearing = _Hearing(order, settings, progress)
        if order.modes:
            heard |= run_loop(hearing.run(items))
        about = _about(order, manifest, items, hearing)
        document = report(about, heard, rules, why, problems, order.clips, steps(progress, "scoring"))
    return _told(order, document, screen)


def modes_of(
    live: bool | None, offline: bool | None, endpointing_ms: str | None, *, only_scored: bool
) -> tuple[Mode, ...]:
    """Which ways of hearing the options ask for: both without any, none where there are only texts to score."""
    if live is None and offline is None and endpointing_ms is None:
        return () if only_scored else (Mode(live=False), Mode(live=True))
    settings: list[int | None] = []
    for text in endpointing_ms.split(",") if endpointing_ms else []:
        if not (text.isascii() and text.isdigit() and 100 <= int(text) <= 3_000):
            raise BadOption("--endpointing-ms", endpointing_ms, "whole numbers from 100 to 3000, commas between")
        settings.append(int(text))
    wanted = [Mode(live=False)] if offline or (offline is None and live is not True) else []
    if live or (live is None and (settings or offline is not True)):
        wanted += [Mode(live=True, endpointing_ms=setting) for setting in settings or [None]]
    return tuple(wanted)


def terms_of(path: Path | None) -> tuple[str, ...]:
    """The lines of a file of terms. Raises BadManifest."""
    if path is None:
        return ()
    try:
        return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise BadManifest(path, str(error)) from None


def exit_code(document: EvaluationReport) -> int:
    """What a script may conclude."""
    if document.about.partial:
        return exits.INTERRUPTED
    real = [problem for problem in document.problems if problem.code not in HARMLESS]
    scored = any(one.words is not None for mode in document.modes for one in mode.items)
    return exits.OK if scored and not real else exits.FAILED


def _told(order: EvaluateOrder, document: EvaluationReport, screen: "Console") -> int:
    written = () if order.report is None else write(document, order.report, "evaluation")
    show_evaluation(document, screen, written)
    if order.as_json:
        print_json(json.loads(to_json(document)))
    return exit_code(document)


def _manifest(order: EvaluateOrder) -> Manifest:
    if order.audio is None:
        return sample_manifest()
    manifest = read_manifest(order.audio, audio_root=order.audio_root, language=None)
    return attach_references(manifest, order.references) if order.references else manifest


def _chosen(order: EvaluateOrder, manifest: Manifest, folder: Path) -> list[Item]:
    items = [item for item in manifest.items if order.match in item.id]
    if not items:
        raise BadOption("--match", order.match, "part of the name of a recording")
    if order.limit and order.limit < len(items):
        step = len(items) / order.limit
        items = [items[int(k * step)] for k in range(order.limit)]
    return items + (write_non_speech(folder, seed=order.seed) if order.non_speech else [])


class _Hearing:
    """All recordings in all modes, through one server."""

    def __init__(self, order: EvaluateOrder, settings: Settings, progress: "Progress") -> None:
        self.url = order.url or ""
        self.partial = False
        self.model: str | None = None
        """The first a private server serves."""
        self._order = order
        self._settings = settings
        self._progress = progress
        self._stopped = asyncio.Event()

    async def run(self, items: Sequence[Item]) -> Mapping[str, Sequence[Heard]]:
        heard: dict[str, Sequence[Heard]] = {}
        waiting = self._progress.add_task("starting a private server", total=None, note="")
        settings = with_model(self._settings, self._order.model, self._order.at_once)
        if self._order.url is None:
            self.model = settings.workers[0].model
        async with server_at(self._order.url, settings, lambda _note: None) as self.url:
            self._progress.update(waiting, visible=False)
            with on_interrupt(self._interrupt):
                for mode in self._order.modes:
                    if not self._stopped.is_set():
                        heard[str(mode)] = await self._mode(items, mode)
        return heard

    def _interrupt(self) -> None:
        self.partial = True
        self._progress.console.print("[yellow]stopping; what was heard will be scored and written[/]")
        self._stopped.set()

    async def _mode(self, items: Sequence[Item], mode: Mode) -> Sequence[Heard]:
        order = self._order
        asked = Asked(self.url, order.language, order.model, order.api_key, order.line, order.seed)
        task = self._progress.add_task(str(mode), total=len(items), note="")
        failed = 0

        def told(heard: Heard) -> None:
            nonlocal failed
            failed += heard.problem is not None
            self._progress.update(task, advance=1, note=f"{failed} failed" if failed else "")

        found = await hear_all(items, mode, asked, at_once=order.at_once, stopped=self._stopped, told=told)
        self._progress.update(task, visible=False)
        return found


def _about(order: EvaluateOrder, manifest: Manifest, items: Sequence[Item], hearing: _Hearing) -> About:
    named = manifest.path.name if order.audio else manifest.form
    chosen = f", those with '{order.match}' in their name" if order.match else ""
    more = "; built-in non-speech sounds, made by arithmetic" if order.non_speech else ""
    line = "" if order.line.clean else f"; {order.line}"
    heard = bool(order.modes)
    return About(
        title=order.title or f"Accuracy: {named}",
        created=created(),
        command=this_command(),
        seed=order.seed,
        machine=this_machine(),
        target=Target(
            url=(order.url or "a private server on this machine")
            if heard
            else "files of hypotheses; nothing was heard",
            dialect="native" if heard else "none",
            private=heard and order.url is None,
            model=order.model or hearing.model,
            language=order.language,
            sample_rate=8_000 if order.line.law else 16_000,
        ),
        audio=f"{named}{chosen}: {len(items)} recordings{more}{line}",
        partial=hearing.partial,
    )
