"""Small reports scored by the real rules from planted texts: what was said is known, so is what must be found."""

from collections.abc import Mapping
from pathlib import Path

from voxfleet.evaluation.accuracy.evaluation import report, unit_rule
from voxfleet.evaluation.accuracy.hearing import Heard
from voxfleet.evaluation.accuracy.scored import Rules
from voxfleet.evaluation.manifests.items import SPEECH, Item
from voxfleet.evaluation.report.document import EvaluationReport

from .documents import about

SAID = "good morning thank you for calling my name is anna"
ADDED = f"{SAID} goodbye"
MISHEARD = "good morning thank you for calling my name is ana"
LOOP = f"{SAID} thank you thank you thank you thank you thank you"
SECONDS = 6.0


def heard_report(
    texts: Mapping[str, str | None],
    *,
    said: str | None = SAID,
    silences: Mapping[str, str | None] | None = None,
    units: int | None = None,
    seconds: float = SECONDS,
) -> EvaluationReport:
    """Recordings by name with what was recognised of each, None where it failed; `silences` are without speech."""

    def item(name: str, reference: str | None, kind: str) -> Item:
        number = sum(name.encode())
        columns = {"call": f"call-{number % units}"} if units else {}
        return Item(id=name, audio=Path(name), reference=reference, language="en", kind=kind, columns=columns)

    heard = [Heard(item(name, said, SPEECH), seconds, text) for name, text in texts.items()]
    heard += [Heard(item(name, "", "silence"), 20.0, text) for name, text in (silences or {}).items()]
    unit, why = unit_rule(None, [one.item for one in heard])
    made = about("planted texts", "voxfleet evaluate")
    return report(made, {"live": heard}, Rules("en", None, unit, None), why, [], clips=0)


def calls(count: int, *, text: str = SAID, planted: str = SAID, every: int = 1) -> dict[str, str | None]:
    """So many recordings with one text, and in every `every`-th of them the planted one."""
    return {f"{number:03}.wav": text if number % every else planted for number in range(count)}
