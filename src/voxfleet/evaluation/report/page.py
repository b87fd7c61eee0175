"""A report as one HTML file that needs nothing else: no host, no font, no file beside it.

The page's own policy forbids every request; its one style and its one script are allowed by their hashes, so markup
that slipped through in somebody's transcript could not run either.
"""

import base64
import hashlib
from functools import cache
from importlib.resources import files

from voxfleet.evaluation.report import evaluation_page, load_page
from voxfleet.evaluation.report.document import About, LoadReport, Report
from voxfleet.evaluation.report.layout import Section
from voxfleet.evaluation.report.markup import Child, Markup, many, tag, trusted
from voxfleet.evaluation.report.numbers import interval_of, value_of
from voxfleet.evaluation.report.tables import facts
from voxfleet.evaluation.report.verdict import KeyFigure, Verdict, key_figures, verdict

_HEADLINES = {
    "invalid": "INVALID: the load generator was not well. These are not the server's figures.",
    "partial": "PARTIAL",
}


def render(report: Report) -> str:
    """The page of a report. The same report gives the same page.

    Where matplotlib is absent, each chart's place says what to install; everything else is there.
    """
    found = verdict(report)
    if isinstance(report, LoadReport):
        kind, sections, conditions = "Load report", load_page.sections(report), load_page.conditions(report)
    else:
        kind, sections = "Accuracy report", evaluation_page.sections(report)
        conditions = evaluation_page.conditions(report)
    sections.append(Section("method", "How it was measured", _method(report.about, conditions)))
    about = report.about
    return document(
        title=about.title,
        kind=kind,
        line=f"{moment(about.created)} · {about.target.url} · {about.machine.processor}, {about.machine.cores} cores",
        top=many(_banners(found, partial=about.partial), _verdict(found), _key_figures(key_figures(report), found)),
        sections=sections,
    )


def document(*, title: str, kind: str, line: str, top: Markup, sections: list[Section]) -> str:
    """A whole page of the house's look. `line` stands beneath the title, `top` above the sections."""
    style, script = asset("page.css"), asset("page.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        trusted(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title} · {kind}"),
        tag("style", trusted(style)),
    )
    header = tag(
        "header", tag("p", f"Voxfleet · {kind}", class_="kind"), tag("h1", title), tag("p", line, class_="line")
    )
    contents = tag("nav", [tag("a", part.title, href=f"#{part.name}") for part in sections], aria_label="Sections")
    main = tag("main", top, contents, map(_section, sections))
    body = tag("body", header, main, tag("script", trusted(script)))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def moment(iso: str) -> str:
    """A time as it is read: "2026-03-14 09:26:53 UTC"."""
    return iso.replace("T", " ").replace("+00:00", " UTC").replace("Z", " UTC")


@cache
def asset(name: str) -> str:
    """A file of this package that becomes part of every page."""
    return files("voxfleet.evaluation.report").joinpath("static", name).read_text("utf-8")


def _section(part: Section) -> Markup:
    heading = tag("h2", part.title, id=f"{part.name}-title")
    return tag("section", heading, part.body, id=part.name, aria_labelledby=f"{part.name}-title")


def _banners(found: Verdict, *, partial: bool) -> Markup:
    shown = [_banner(found.standing, found.because)] if found.standing != "valid" else []
    if partial and found.standing == "invalid":
        shown.append(_banner("partial", ("The run also ended before its time.",)))
    return many(shown)


def _banner(standing: str, because: tuple[str, ...]) -> Markup:
    return tag(
        "div",
        tag("strong", _HEADLINES[standing]),
        tag("ul", [tag("li", reason) for reason in because]),
        class_=f"banner {standing}",
        role="alert" if standing == "invalid" else "note",
    )


def _verdict(found: Verdict) -> Markup:
    first, *rest = found.sentences
    return many(
        tag("p", first, class_="verdict void" if found.standing == "invalid" else "verdict"),
        tag("ul", [tag("li", sentence) for sentence in rest], class_="also") if rest else None,
    )


def _key_figures(figures: list[KeyFigure], found: Verdict) -> Markup:
    shown = [
        tag(
            "div",
            tag("dt", one.name),
            tag(
                "dd",
                tag(
                    "b",
                    value_of(one.figure, one.unit) if one.figure else "none",
                    class_="alarming" if one.alarming else None,
                ),
                tag("span", interval_of(one.figure, one.unit), class_="interval") if one.figure else None,
                tag("span", one.doubt, class_="doubt"),
            ),
        )
        for one in figures
    ]
    return tag("dl", shown, class_="key void" if found.standing == "invalid" else "key")


def _method(about: About, conditions: list[tuple[str, Child]]) -> Markup:
    machine, target = about.machine, about.target
    place = "started by this run, sharing its machine" if target.private else "not started by this run"
    settings = {
        "model": target.model,
        "language": target.language,
        "sample rate": target.sample_rate and f"{target.sample_rate} Hz",
        "chunk": target.chunk_ms and f"{target.chunk_ms} ms",
        "endpointing": target.endpointing_ms and f"{target.endpointing_ms} ms",
    }
    told = ", ".join(f"{name} {value}" for name, value in settings.items() if value)
    return facts(
        [
            ("Again", tag("code", about.command)),
            ("Seed", str(about.seed)),
            ("Audio", about.audio),
            ("Target", f"{target.url}, {target.dialect}, {place}" + (f"; {told}" if told else "")),
            (
                "Machine",
                f"{machine.processor}, {machine.cores} cores, {machine.memory_gib:.1f} GiB, {machine.system}, "
                f"Python {machine.python}, Voxfleet {machine.voxfleet}",
            ),
            *conditions,
        ]
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
