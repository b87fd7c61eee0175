"""The pages in a real browser: nothing is fetched, nothing complains, words are found, heard, and harmless.

Each test starts its own browser, and fails if the browser has anything to complain about (console, exceptions, policy).
"""

import json
import re
from pathlib import Path

import msgspec
import pytest

from tests.console.browser import Page
from voxfleet.evaluation.report.compare import compare_reports
from voxfleet.evaluation.report.comparison_page import render_comparison
from voxfleet.evaluation.report.document import AlignedWord, EvaluationReport, LoadReport, Problem
from voxfleet.evaluation.report.page import render

from .conftest import ARTIFACTS, WIDE, show
from .documents import HOSTILE, evaluation_report, load_report, mode, scored
from .heard import LOOP, SAID, calls, heard_report

pytestmark = pytest.mark.slow

ROWS = "document.querySelectorAll('#items > li').length"
SHOWN = "document.querySelector('#shown').textContent"


async def choose(page: Page, selector: str, value: str) -> None:
    """Sets a control as a person does: the page hears of it."""
    script = "(c => {{ c.value = {}; c.dispatchEvent(new Event('input')); c.dispatchEvent(new Event('change')); }})"
    await page.evaluate(f"{script.format(json.dumps(value))}(document.querySelector('{selector}'))")


@pytest.mark.parametrize("kind", ["load", "evaluation", "invalid", "comparison", "two loads"])
async def test_every_page_fits_every_window(
    kind: str, browser: Page, tmp_path: Path, load: LoadReport, evaluation: EvaluationReport
) -> None:
    invalid = load_report(because=["the loop woke 1.8 s late"], partial=True, capacity=False)
    html = {
        "load": lambda: render(load),
        "evaluation": lambda: render(evaluation),
        "invalid": lambda: render(invalid),
        "comparison": lambda: render_comparison(compare_reports(evaluation, evaluation_report(better=1.3, clips=0))),
        "two loads": lambda: render_comparison(compare_reports(load, invalid)),
    }[kind]()
    await show(browser, html, tmp_path)
    for width in (1200, 400):
        for scheme in ("light", "dark"):
            await browser.viewport(width, 900)
            await browser.prefer(scheme)
            assert not await browser.evaluate(WIDE), f"wider than {width}"
            await browser.screenshot(ARTIFACTS / f"{kind.replace(' ', '-')}-{width}-{scheme}.png")
    shown = await browser.evaluate(
        "[...document.querySelectorAll('.chart svg')].filter(svg => svg.getBoundingClientRect().width).length"
    )
    assert shown == await browser.evaluate("document.querySelectorAll('.chart').length")


async def test_gates_are_the_first_thing_of_a_comparison(browser: Page, tmp_path: Path) -> None:
    before, after = (heard_report(calls(40, planted=text, every=4), silences={"s": ""}) for text in (SAID, LOOP))
    await show(browser, render_comparison(compare_reports(before, after)), tmp_path)
    rows = "[...document.querySelectorAll('#gates tbody tr')].map(row => row.innerText.split(/\\s+/)[0])"
    assert await browser.evaluate(rows) == ["wer", "insertions", "runaway", "non-speech"]
    verdicts = "[...document.querySelectorAll('#gates td:last-child')].map(cell => cell.textContent)"
    assert await browser.evaluate(verdicts) == ["worse", "worse", "worse", "undecided"]
    gates, others = await browser.evaluate(
        "['gates', 'differences'].map(name => document.getElementById(name).getBoundingClientRect().top)"
    )
    assert gates < others
    for width in (1200, 400):
        await browser.viewport(width, 900)
        assert not await browser.evaluate(WIDE)
        await browser.screenshot(ARTIFACTS / f"gates-{width}.png")


async def test_charts_follow_light_and_dark_and_the_window(browser: Page, tmp_path: Path, load: LoadReport) -> None:
    await show(browser, render(load), tmp_path)
    ink = "getComputedStyle(document.querySelector('#chart-latency svg text')).fill"
    await browser.prefer("light")
    light = await browser.evaluate(ink)
    await browser.prefer("dark")
    assert light != await browser.evaluate(ink)
    size = (
        "[...document.querySelectorAll('#chart-latency svg')].map(svg => Math.round(svg.getBoundingClientRect().width))"
    )
    wide, hidden = await browser.evaluate(size)
    assert wide > 450
    assert hidden == 0
    await browser.viewport(400, 900)
    hidden, narrow = await browser.evaluate(size)
    assert hidden == 0
    assert 330 < narrow <= 400


async def test_an_invalid_run_says_so_first(browser: Page, tmp_path: Path) -> None:
    await show(browser, render(load_report(because=["the loop woke 1.8 s late"], partial=True)), tmp_path)
    assert "INVALID" in await browser.text(".banner.invalid")
    assert "1.8 s late" in await browser.text(".banner.invalid")
    assert "PARTIAL" in await browser.text(".banner.partial")
    banner, sentence = await browser.evaluate(
        "['.banner', '.verdict'].map(name => document.querySelector(name).offsetTop)"
    )
    assert banner < sentence


async def test_a_clip_is_heard_and_stopped(browser: Page, tmp_path: Path, evaluation: EvaluationReport) -> None:
    await show(browser, render(evaluation), tmp_path)
    pressed = "document.querySelector('.play').ariaPressed"
    await browser.evaluate("document.querySelector('.play').focus()")
    await browser.press("Enter")  # by the keyboard: a button is a button
    await browser.until(f"{pressed} === 'true'")
    await browser.until(
        "document.querySelector('#player').duration > 1.4 && document.querySelector('#player').currentTime > 0"
    )
    assert (await browser.evaluate("document.querySelector('#player').src")).startswith("data:audio/ogg;base64,")
    first = await browser.evaluate("document.querySelector('#player').src")
    await browser.evaluate("document.querySelector('.play').click()")
    await browser.until(f"{pressed} === 'false'")
    await browser.evaluate("document.querySelectorAll('.play')[1].click()")
    await browser.until(f"document.querySelector('#player').src !== {json.dumps(first)}")
    await browser.until("document.querySelectorAll('.play')[1].ariaPressed === 'true'")
    assert await browser.evaluate("document.querySelectorAll('.play[aria-pressed=true]').length") == 1


async def test_items_are_found(browser: Page, tmp_path: Path, evaluation: EvaluationReport) -> None:
    offline, live = evaluation.modes[0].items, evaluation.modes[1].items
    wrong = sum(any(column.op != "equal" for column in item.alignment) for item in offline)
    await show(browser, render(evaluation), tmp_path)
    assert await browser.evaluate(SHOWN) == f"{wrong} of 300 recordings, 40 listed"
    await browser.evaluate("document.querySelector('#wrong').click()")
    await browser.until(f"{SHOWN}.startsWith('300 of 300')")
    await choose(browser, "#search", "CALLS/0123")
    await browser.until(f"{ROWS} === 1")
    assert "calls/0123.wav" in await browser.text("#items > li")
    await choose(browser, "#search", "")
    babble = sum(item.columns["line"] == "babble 10 dB" for item in offline)
    await choose(browser, "#slice", "line\nbabble 10 dB")
    await browser.until(f"{SHOWN}.startsWith('{babble} of 300')")
    await choose(browser, "#slice", "")
    await choose(browser, "#search", "in voice")  # heard for “invoice”: what was heard is searched too
    heard = sum(any(column.heard == "in voice" for column in item.alignment) for item in live)
    await choose(browser, "#mode", "1")
    await browser.until(f"{SHOWN} === '{heard} of 300 recordings'")
    await choose(browser, "#search", "no such words at all")
    await browser.until(f"{ROWS} === 0")


async def test_the_worst_come_first_and_words_differ_without_colour(browser: Page, tmp_path: Path) -> None:
    fine = scored("fine.wav", "a", [AlignedWord("equal", "hold", "hold"), AlignedWord("equal", "on", "on")])
    bad = scored(
        "bad.wav",
        "b",
        [
            AlignedWord("equal", "hold", "hold"),
            AlignedWord("substitute", "the", "a"),
            AlignedWord("delete", "line"),
            AlignedWord("insert", None, "uh"),
        ],
    )
    report = msgspec.structs.replace(
        evaluation_report(items=1, clips=0), modes=[mode("offline", [fine, bad], live=False)]
    )
    await show(browser, render(report), tmp_path)
    assert await browser.evaluate(ROWS) == 1
    row = "document.querySelector('#items > li')"
    assert await browser.evaluate(f"{row}.querySelector('.text').textContent") == "hold the heard as a line uh"
    assert await browser.evaluate(f"getComputedStyle({row}.querySelector('del')).textDecorationLine") == "line-through"
    assert await browser.evaluate(f"getComputedStyle({row}.querySelector('ins')).textDecorationLine") == "underline"
    places = "['.said', '.heard'].map(name => document.querySelector('#items ' + name).getBoundingClientRect().top)"
    said, heard = await browser.evaluate(places)
    assert said < heard
    assert await browser.evaluate("document.querySelector('#player').hidden")
    assert await browser.evaluate("document.querySelectorAll('.play').length") == 0


async def test_two_thousand_items_are_drawn_as_far_as_somebody_looks(browser: Page, tmp_path: Path) -> None:
    await show(browser, render(evaluation_report(items=2000, clips=40)), tmp_path)
    assert await browser.evaluate(ROWS) == 40
    assert await browser.evaluate("document.querySelectorAll('*').length") < 20_000
    await browser.evaluate("document.querySelector('#more').scrollIntoView()")
    await browser.until(f"{ROWS} >= 80")
    assert await browser.evaluate(ROWS) < 400
    before = await browser.evaluate(ROWS)
    await browser.evaluate("document.querySelector('#more').click()")
    await browser.until(f"{ROWS} > {before}")
    rows = f"[...document.querySelector('#items').children].slice({before})"
    assert await browser.evaluate(f"{rows}.some(row => row.contains(document.activeElement))"), "the keyboard follows"
    await choose(browser, "#search", "calls/1999")
    await browser.until(f"{ROWS} <= 1")


async def test_hostile_text_stays_text(browser: Page, tmp_path: Path) -> None:
    """Transcripts are written by strangers: in every place a report shows one, markup must stay what it reads."""
    words = [
        AlignedWord("substitute", HOSTILE, HOSTILE),
        AlignedWord("insert", None, "<!--"),
        AlignedWord("delete", "\u2028"),
    ]
    items = [scored(HOSTILE, HOSTILE, words, {"accent": HOSTILE, HOSTILE: "]]>\x00\x1b$x^2$"}) for _ in range(2)]
    base = evaluation_report(items=40, clips=1)
    report = msgspec.structs.replace(
        base,
        about=msgspec.structs.replace(base.about, title=HOSTILE, command=HOSTILE, audio=HOSTILE),
        normaliser=HOSTILE,
        modes=[mode(HOSTILE, [*base.modes[0].items, *items], live=True)],
        problems=[Problem(HOSTILE, HOSTILE, HOSTILE)],
        clips=base.clips | {HOSTILE: "data:audio/ogg;base64,"},
    )
    html = render(report)
    assert len(re.findall("<script", html)) == len(re.findall("</script", html)) == 3
    await show(browser, html, tmp_path)
    await browser.evaluate("document.querySelector('#wrong').click()")
    assert await browser.evaluate("window.stolen") is None
    assert await browser.evaluate("document.querySelectorAll('img').length") == 0
    assert await browser.text("h1") == HOSTILE
    said = "[...document.querySelectorAll('#items .said')].map(word => word.textContent)"
    assert HOSTILE in await browser.evaluate(said)


async def test_the_policy_stops_what_slips_through(browser: Page, tmp_path: Path, load: LoadReport) -> None:
    """Even markup that got past every escape could not run or fetch: the page's own policy forbids it."""
    slipped = "<img src=https://example.invalid/x.png onerror='window.stolen=1'><script>window.stolen=2</script>"
    await show(browser, render(load).replace("</main>", f"{slipped}</main>"), tmp_path)
    assert await browser.evaluate("window.stolen") is None
    assert await browser.evaluate("document.querySelector('main > img').naturalWidth") == 0
    assert any("policy" in complaint.lower() for complaint in browser.complaints)
    await browser.open("about:blank")
    browser.complaints.clear()
