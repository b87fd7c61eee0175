"""The pages in a real browser: a microphone is heard, words appear, errors are said, keys are enough, a phone is wide enough.

Each test starts its own browser, and fails if the browser has anything to complain about (console, exceptions, policy).
"""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from voxfleet.errors import Unauthorized

from .browser import Page
from .conftest import ARTIFACTS, TONE_HZ, tone, write_wav
from .scripted import NOTE, Scripted, empty_fleet, empty_status

pytestmark = pytest.mark.slow

STATE = "document.querySelector('#status').dataset.state"
FINALS = "document.querySelectorAll('.turn[data-state=final]').length"
WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
FOCUS = "document.activeElement.id || document.activeElement.name || document.activeElement.getAttribute('href')"


async def start(page: Page, *, model: str | None = None) -> None:
    """Presses Start once the page has its models."""
    await page.until("document.querySelector('#model').value !== ''")
    if model:
        await page.evaluate(
            f"(m => {{ m.value = '{model}'; m.dispatchEvent(new Event('change')); }})(document.querySelector('#model'))"
        )
    await page.evaluate("document.querySelector('#start').click()")


async def rows(page: Page, body: str) -> list[list[str]]:
    """The cells of a table as they read; small lines below a heading are set apart by |."""
    return list(
        await page.evaluate(
            f"[...document.querySelectorAll('{body} tr')].map(r => [...r.cells].map(c => [...(c.querySelector('.cell') ?? c)"
            ".childNodes].reduce((said, n) => said + (n.nodeName === 'SMALL' ? '|' : '') + n.textContent, '')))"
        )
    )


async def stop(page: Page) -> None:
    await page.evaluate("document.querySelector('#stop').click()")
    await page.until(f"{STATE} === 'done'")


async def test_what_the_microphone_hears_becomes_words(page: Page, base_url: str) -> None:
    """Makes no assumption about which words: this one is meant for a real server too."""
    await page.open(f"{base_url}/")
    await start(page)
    await page.until(f"{STATE} === 'live'")
    await page.until("document.querySelector('.turn') !== null", 40)
    await page.until(FINALS, 60)
    await page.until("document.querySelector('#final-p50').textContent.endsWith(' s')")
    assert await page.text("#stream-time") != "0:00.0"
    await stop(page)
    assert await page.evaluate("document.querySelectorAll('.turn[data-state=partial]').length") == 0
    assert (await page.text("#status")).startswith("Finished: ")
    assert await page.evaluate("document.querySelector('#problem').hidden")
    assert await page.evaluate("document.querySelector('[data-format=srt]').disabled") is False


async def test_the_server_receives_what_the_microphone_heard(page: Page, scripted: Scripted) -> None:
    await page.open(f"{scripted.url}/")
    await start(page)
    await page.until("parseFloat(document.querySelector('#stream-time').textContent.slice(2)) >= 2")
    await stop(page)
    (heard,) = scripted.heard
    assert heard.finished
    assert (heard.options.channels, heard.options.model, heard.options.language) == (1, "embedded", "en-US")
    assert heard.options.endpointing_ms is None
    assert 0.05 < heard.seconds / heard.frames < 0.15
    samples = np.frombuffer(heard.audio, "<i2")[heard.options.sample_rate // 2 :]
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    loudest = np.fft.rfftfreq(len(samples), 1 / heard.options.sample_rate)[spectrum.argmax()]
    assert abs(loudest - TONE_HZ) < 5, "the sample rate declared is not the one sent"


async def test_words_firm_up_and_become_final(page: Page, scripted: Scripted) -> None:
    await page.open(f"{scripted.url}/")
    await start(page)
    partial = await page.until(
        """(turn => turn && turn.querySelector('.stable').textContent && turn.querySelector('.unstable').textContent
            && [turn.querySelector('.stable').textContent, turn.querySelector('.unstable').textContent])
           (document.querySelector('.turn[data-state=partial]'))"""
    )
    whole = "good morning this is the front desk how can I help"
    assert whole.startswith(partial[0] + partial[1])
    solid, lighter = await page.evaluate(
        "['.stable', '.unstable'].map(name => getComputedStyle(document.querySelector(name)).color)"
    )
    assert solid != lighter
    await page.until(FINALS)
    assert await page.text(".turn .words") == whole
    assert await page.text("#read-out p") == whole
    assert await page.text(".turn .time") == "0:00.2 – 0:02.4"
    assert await page.evaluate("document.querySelector('#read-out').getAttribute('aria-live')") == "polite"
    await stop(page)


async def test_moving_the_slider_reaches_the_server(page: Page, scripted: Scripted) -> None:
    await page.open(f"{scripted.url}/")
    assert await page.text("#silence-value") == "server’s default"
    await start(page)
    await page.until("document.querySelector('#silence-value').textContent === '700 ms (default)'")
    await page.evaluate("document.querySelector('#silence').focus()")
    await page.press("ArrowRight")
    await page.until("document.querySelector('#silence-value').textContent === '750 ms'")
    await stop(page)
    assert scripted.heard[0].configured == [750]
    await start(page)
    await page.until(f"{STATE} === 'live'")
    await stop(page)
    assert scripted.heard[1].options.endpointing_ms == 750


async def test_a_file_with_two_speakers_is_streamed_as_two_channels(
    page: Page, scripted: Scripted, tmp_path: Path
) -> None:
    file = write_wav(tmp_path / "two speakers.wav", [tone(300, 7.5, 16_000), tone(900, 7.5, 16_000)], 16_000)
    await page.open(f"{scripted.url}/")
    await page.evaluate("document.querySelector('[value=file]').click()")
    await page.choose_files("#file", file)
    await page.until("document.querySelector('#file-facts').textContent === '0:07.5, two channels'")
    await start(page)
    await page.until("document.querySelectorAll('.turn').length >= 2")
    assert await page.text(".turn[data-channel='1'] .channel") == "Channel 2"
    await page.until("document.querySelector('.turn[data-channel=\"0\"]:nth-of-type(4) .unstable')?.textContent")
    await page.screenshot(ARTIFACTS / "try-two-channels.png")
    await page.until(f"{STATE} === 'done'", 30)
    (heard,) = scripted.heard
    assert (heard.options.channels, heard.options.sample_rate) == (2, 16_000)
    assert heard.seconds == pytest.approx(7.5, abs=0.01)
    samples = np.frombuffer(heard.audio, "<i2").reshape(-1, 2)
    for channel, hz in enumerate((300, 900)):
        spectrum = np.abs(np.fft.rfft(samples[:, channel]))
        assert np.fft.rfftfreq(len(samples), 1 / 16_000)[spectrum.argmax()] == pytest.approx(hz, abs=2)
    # A stereo file may also be mixed.
    await page.evaluate("document.querySelector('#layout').value = 'mixed'")
    await start(page)
    await page.until(f"{STATE} === 'live'")
    await stop(page)
    assert scripted.heard[1].options.channels == 1


async def test_a_file_nobody_can_decode_is_explained(page: Page, scripted: Scripted, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("this is not audio")
    await page.open(f"{scripted.url}/")
    await page.evaluate("document.querySelector('[value=file]').click()")
    await start(page)
    await page.until("document.querySelector('#problem-code').textContent === 'no_file'")
    await page.choose_files("#file", tmp_path / "notes.wav")
    await page.until("document.querySelector('#file-facts').textContent.includes('can\\'t decode “notes.wav”')")
    await start(page)
    await page.until("document.querySelector('#problem-code').textContent === 'undecodable_file'")
    assert scripted.heard == []


@pytest.mark.parametrize(
    ("model", "language", "code", "message", "hint"),
    [
        ("full", "en", "at_capacity", "All 64 places are taken; try again in 7 s.", "Try again in 7 s."),
        ("breaks", "en", "engine_lost", "The worker 'gpu-0' that heard this stream is gone", "Try again in 1 s."),
        ("embedded", "english!", "bad_value", "'language' must be a BCP-47 tag", "will not help until something"),
        ("vanishes", "en", "closed_1011", "The connection to the server was lost. It said: gone", "Start again"),
    ],
)
async def test_errors_are_said_with_what_to_do(
    page: Page, scripted: Scripted, model: str, language: str, code: str, message: str, hint: str
) -> None:
    await page.open(f"{scripted.url}/")
    await page.until("document.querySelector('#model').value !== ''")
    await page.evaluate(f"document.querySelector('#model').value = '{model}'")
    await page.evaluate(f"document.querySelector('#language').value = '{language}'")
    await page.evaluate("document.querySelector('#start').click()")
    await page.until(f"{STATE} === 'failed' && !document.querySelector('#problem').hidden")
    assert await page.text("#problem-code") == code
    assert message in await page.text("#problem-message")
    assert hint in await page.text("#problem-hint")
    assert await page.evaluate("document.querySelector('#problem').getAttribute('role')") == "alert"
    if model == "vanishes":
        assert await page.evaluate("document.querySelectorAll('.turn[data-state=unfinished]').length") == 1
        await page.screenshot(ARTIFACTS / "try-error.png")
    # The page can be used again.
    assert await page.evaluate("document.querySelector('#start').ariaDisabled") == "false"
    await page.evaluate("document.querySelector('#language').value = 'en-US'")
    await start(page, model="embedded")
    await page.until(f"{STATE} === 'live' && document.querySelector('#problem').hidden")
    await stop(page)


async def test_the_note_says_what_the_built_in_engine_is(page: Page, scripted: Scripted) -> None:
    await page.open(f"{scripted.url}/")
    await page.until("!document.querySelector('#model-note').hidden")
    assert await page.text("#model-note") == NOTE
    await page.evaluate(
        "(m => { m.value = 'whisper-large-v3-turbo'; m.dispatchEvent(new Event('change')); })"
        "(document.querySelector('#model'))"
    )
    assert await page.evaluate("document.querySelector('#model-note').hidden")
    assert await page.evaluate("[...document.querySelectorAll('#languages option')].map(o => o.value)") == [
        "de", "en", "es", "fr", "it",
    ]  # fmt: skip


async def test_models_that_come_later_are_found(page: Page, scripted: Scripted) -> None:
    models, scripted.models = scripted.models, {"object": "list", "data": []}
    await page.open(f"{scripted.url}/")
    await page.until("document.querySelector('#model-note').textContent.startsWith('No worker is ready yet')")
    scripted.models = models
    await page.until("document.querySelector('#model').value === 'embedded'")
    assert await page.text("#model-note") == NOTE


async def test_a_keyboard_is_enough(page: Page, base_url: str) -> None:
    await page.open(f"{base_url}/")
    await page.until("document.querySelector('#model').value !== ''")
    passed: list[str] = []
    while not passed or passed[-1] != "start":
        await page.press("Tab")
        passed.append(await page.evaluate(FOCUS))
        assert len(passed) < 20, passed
    assert passed == ["#transcript", "./", "operator", "source", "model", "language", "grammar", "silence", "start"]
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "focus must be visible"
    await page.press("Enter")
    await page.until(f"{STATE} === 'live'")
    assert await page.evaluate(FOCUS) == "stop"
    await page.until("document.querySelector('.turn') !== null", 40)
    await page.press("Enter")
    await page.until(f"{STATE} === 'done'", 40)
    assert await page.evaluate(FOCUS) == "start"


async def test_transcripts_can_be_taken_away(page: Page, scripted: Scripted, tmp_path: Path) -> None:
    await page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    await page.open(f"{scripted.url}/")
    assert await page.evaluate("document.querySelector('[data-format=txt]').disabled")
    await start(page)
    await page.until(f"{FINALS} >= 2", 30)
    await stop(page)
    for suffix in ("txt", "srt", "json"):
        await page.evaluate(f"document.querySelector('[data-format={suffix}]').click()")
    files = {suffix: tmp_path / f"transcript-s-7f3a9c.{suffix}" for suffix in ("txt", "srt", "json")}
    async with asyncio.timeout(20):
        while not all(file.exists() and file.stat().st_size for file in files.values()):
            await asyncio.sleep(0.05)
    assert files["txt"].read_text().splitlines()[:2] == [
        "[0:00.2] good morning this is the front desk how can I help",
        "[0:03.4] of course one moment please",
    ]
    assert (
        files["srt"]
        .read_text()
        .startswith(
            "1\n00:00:00,200 --> 00:00:01,830\ngood morning this is the front desk how can I help\n\n2\n00:00:03,400 --> "
        )
    )
    kept = json.loads(files["json"].read_text())
    assert kept["model"] == "embedded"
    assert kept["turns"][0]["words"][0] == {"word": "good", "start": 0.2, "end": 0.33, "confidence": 0.9}
    assert kept["totals"]["turns"] == len(kept["turns"])
    assert kept["latency"]["final"]["count"] == len(kept["turns"])


async def test_latency_is_measured_from_the_send_clock(page: Page, scripted: Scripted) -> None:
    """The arithmetic of latency.js and download.js, on the page's own modules and made-up moments."""
    await page.open(f"{scripted.url}/")
    measured = await page.evaluate(
        """(async () => {
          const { Latency, SendClock, percentile } = await import('/static/latency.js');
          const clock = new SendClock();
          for (let i = 1; i <= 30; i += 1) clock.sent(i / 10, 1000 + i * 100);   // the sample at t s left at 1000 + 1000 t ms
          const latency = new Latency(clock);
          const turn = { channel: 0, turn: 0, start: 0.1, end: 0.5 };
          latency.partial({ ...turn, stable: '', unstable: '' }, 1400);
          latency.partial({ ...turn, stable: '', unstable: 'Hello' }, 1800);           // 'hello' ends at 0.5: 0.3 s
          latency.partial({ ...turn, end: 1.0, stable: 'hello', unstable: 'word' }, 2300);
          latency.partial({ ...turn, end: 1.0, stable: 'hello', unstable: 'world' }, 2600);  // ends at 1.0: 0.6 s
          latency.final({ ...turn, end: 1.8, text: 'Hello, world again.', words: [
            { word: 'Hello,', start: 0.1, end: 0.5 }, { word: 'world', start: 0.6, end: 1.0 },
            { word: 'again.', start: 1.0, end: 1.2 } ] }, 3000);                       // 'again' only here: 0.8 s
          latency.final({ channel: 0, turn: 1, start: 2, end: 2.2, text: '' }, 9000);   // nothing said, nothing counted
          const round = (f) => [f.p50, f.p95, f.count].map((x) => Math.round(x * 1000) / 1000);
          const { firstPartial, emission, final } = latency.summary();
          return [round(firstPartial), round(emission), round(final), clock.moment(0.05), clock.moment(9),
            percentile([], 0.5), percentile([3, 1, 2], 0.5)];
        })()"""
    )
    assert measured == [[0.3, 0.3, 1], [0.6, 0.8, 3], [0.8, 0.8, 1], 1100, None, None, 2]


async def test_the_operator_sees_the_whole_fleet(page: Page, scripted: Scripted) -> None:
    await page.open(f"{scripted.url}/operator")
    await page.until("document.querySelector('#board').dataset.freshness === 'fresh'")
    shown = ("version", "uptime", "gateway-name", "draining", "final-big", "places")
    assert [await page.text(f"#{name}") for name in shown] == [
        "0.1.0", "1 d 2 h", "gateway-0", "taking streams", "1.46 s", "176 of 296 places taken",
    ]  # fmt: skip
    sums = ("live", "opened", "refused", "failed", "moved", "replayed")
    assert [await page.text(f"#{name}") for name in sums] == ["187", "20,417", "12", "0", "53", "6"]
    workers = await rows(page, "#workers")
    number = sum(map(ord, "gpu-0"))
    assert workers[0] == [
        f"gpu-0|pid {4000 + number} on asr-1|10.0.0.{number % 250}:8766", "ready", "128 / 256", "41 %|560 ms chunks",
        "nemotron-speech-en-0.6b|NVIDIA H100 80GB · en-US|gpu=h100, lifecycle=on-demand, region=eu-west",
        "41.3 ms · 113 ms|batch of 31.4", "2 h 32 min", "Drain…",
    ]  # fmt: skip
    assert workers[1][2:4] == ["48 / 48|takes 40 at this load", "93 %|files wait|1,000 ms chunks"]
    assert "a, b, c, d and 4 more" in workers[1][4]
    assert workers[2][1] == "draining, 14 s left"
    assert workers[3][3] == workers[3][5] == workers[3][6] == "–"
    gateways = await rows(page, "#gateways")
    assert gateways[1] == [
        "gateway-1|pid 4121 on asr-1", "draining", "asr-1:8765", "68", "8,117", "7", "0", "22", "2", "1 d 2 h",
    ]  # fmt: skip
    latency = await rows(page, "#latency")
    assert latency[2:] == [["Final", "0.88 s", "1.46 s", "", "1,187"], ["Recovery", "0.31 s", "0.62 s", "", "6"]]
    first = "document.querySelector('#streams tr').dataset.key"
    assert await page.evaluate(first) == "s-c0ffee"
    assert await page.evaluate("document.querySelector('#streams tr').hasAttribute('data-trouble')")
    await page.evaluate(
        "(o => { o.value = 'age'; o.dispatchEvent(new Event('change')); })(document.querySelector('#order'))"
    )
    assert await page.evaluate(first) == "s-7f3a9c"


async def test_the_operator_sees_what_happened(page: Page, scripted: Scripted) -> None:
    await page.open(f"{scripted.url}/operator")
    await page.until("document.querySelectorAll('#events tr').length === 6")
    assert [row[1:] for row in await rows(page, "#events")] == [
        ["gpu-2", "37 streams moved to another worker at the end of a turn"],
        ["gpu-2", "draining"],
        ["gpu-1", "1 stream given up: speech was sent and nothing came back"],
        ["gpu-3", "6 streams replayed to another worker"],
        ["gpu-3", "lost: it stopped, or can't be reached"],
        ["gpu-1", "joined"],
    ]
    assert await page.text("#events-count") == "as gateway-0 saw it"
    await page.evaluate("document.querySelector('#events tr').marked = true")
    scripted.fleet["events"][-1]["count"] = 38
    await page.until("document.querySelector('#events tr').textContent.includes('38 streams moved')")
    assert await page.evaluate("document.querySelector('#events tr').marked"), "the same event stays the same row"


async def test_a_worker_is_drained_only_after_it_was_asked_whether(page: Page, scripted: Scripted) -> None:
    button = "document.querySelector('[data-key=\"gpu-0\"] .action button')"
    await page.open(f"{scripted.url}/operator")
    await page.until(f"{button} && !{button}.disabled")
    assert await page.evaluate("document.querySelector('[data-key=\"gpu-2\"] .action button').disabled"), (
        "drains already"
    )
    await page.evaluate(f"{button}.focus(), {button}.click()")
    assert await page.text("#drain-title") == "Drain gpu-0?"
    assert "its 128 streams move to other workers" in await page.text("#drain-what")
    assert not await page.evaluate("document.querySelector('#drain-alone').hidden"), "no other worker has its model"
    await page.press("Enter")  # the first button, Cancel, has the focus or the box has: either way nothing is asked
    await page.evaluate("document.querySelector('#drain').open && document.querySelector('#drain-cancel').click()")
    assert scripted.asked == []
    assert await page.evaluate(f"document.activeElement === {button}"), "the focus is back where it was"
    await page.evaluate(f"{button}.click()")
    assert await page.evaluate("document.querySelector('#drain-replace').checked"), "else nobody would serve this model"
    await page.screenshot(ARTIFACTS / "operator-drain.png", whole=False)
    await page.evaluate("document.querySelector('#drain-go').click()")
    await page.until("document.querySelector('#told').textContent === 'gpu-0 was told to leave.'")
    assert scripted.asked == [("gpu-0", {"replace": True})]
    await page.until("document.querySelector('[data-key=\"gpu-0\"] .state').textContent === 'draining, 25 s left'")
    assert await page.evaluate(f"{button}.disabled && !document.querySelector('#drain').open")


async def test_a_refused_drain_is_said_by_name(page: Page, scripted: Scripted) -> None:
    scripted.refusal = Unauthorized("draining a worker")
    await page.open(f"{scripted.url}/operator")
    await page.until("document.querySelectorAll('.action button').length === 5")
    await page.evaluate("document.querySelector('.action button').click()")
    await page.evaluate("document.querySelector('#drain-go').click()")
    await page.until("!document.querySelector('#drain-problem').hidden")
    assert await page.text("#drain-code") == "unauthorized"
    assert await page.text("#drain-message") == "Draining a worker needs the cluster's secret as a bearer token."
    assert await page.evaluate("document.querySelector('#drain').open && !document.querySelector('#drain-go').disabled")
    page.complaints.clear()  # the browser logs every 401


async def test_only_the_own_machine_offers_to_drain(page: Page, scripted: Scripted) -> None:
    await page.open(f"{scripted.url}/operator")
    hosts = ["localhost", "127.0.0.1", "127.8.9.1", "[::1]", "asr.example", "10.0.0.7", "127.0.0.1.example", "[::2]"]
    local = await page.evaluate(
        f"import('/static/drain.js').then(({{ isLocal }}) => {hosts}.map((host) => isLocal(host)))"
    )
    assert local == [True] * 4 + [False] * 4


async def test_the_operator_page_follows_any_server(page: Page, base_url: str) -> None:
    """Makes no assumption about what is served: this one is meant for a real server too."""
    await page.open(f"{base_url}/operator")
    await page.until("document.querySelector('#board').dataset.freshness === 'fresh'")
    await page.until("document.querySelectorAll('#workers tr').length > 0")
    assert await page.text("#version") != "–"
    await page.until("document.querySelectorAll('#spark-live .trace')[0].getAttribute('d').includes('L')")
    assert "undefined" not in await page.evaluate("document.body.innerText")
    assert "NaN" not in await page.evaluate("document.body.innerText")


async def test_the_operator_sees_change_and_silence(page: Page, scripted: Scripted) -> None:
    await page.open(f"{scripted.url}/operator")
    await page.until("document.querySelectorAll('#workers tr').length === 5")
    await page.evaluate("document.querySelector('#workers tr').marked = true")
    scripted.fleet["totals"]["streams"] = 190
    scripted.status["latency"]["final"]["p95"] = 2.4
    await page.until("document.querySelector('#live').textContent === '190'")
    assert await page.evaluate("document.querySelector('#workers tr').marked"), "rows must stay the same elements"
    assert await page.evaluate("document.querySelector('#final-big').classList.contains('late')")
    await page.until("document.querySelectorAll('#spark-final .trace')[0].getAttribute('d').includes('L')")
    scripted.status, scripted.fleet = empty_status(), empty_fleet()
    await page.until("document.querySelectorAll('#workers tr').length === 0")
    assert await page.text("#final-big") == "–"
    assert await page.text("#draining") == "draining: no new streams"
    assert await page.evaluate(
        "['no-workers', 'no-streams', 'no-events'].every(id => !document.getElementById(id).hidden)"
    )
    assert page.complaints == []
    scripted.status_code = 503
    await page.until("document.querySelector('#board').dataset.freshness === 'stale'")
    await page.until("document.querySelector('#board').dataset.freshness === 'gone'")
    assert (await page.text("#connection")).startswith("Disconnected: the server answered HTTP 503. Figures are ")
    page.complaints.clear()  # the browser logs every 503
    scripted.status_code = 200
    await page.until("document.querySelector('#board').dataset.freshness === 'fresh'")
    page.complaints.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_fit_a_phone_and_a_desktop(page: Page, scripted: Scripted, scheme: str) -> None:
    """Also takes the pictures that a person should look at."""
    await page.prefer(scheme)
    await page.open(f"{scripted.url}/")
    await page.until("document.querySelector('#model').value !== ''")
    await page.screenshot(ARTIFACTS / f"try-{scheme}-idle.png")
    await start(page)
    await page.until("document.querySelector('.turn:nth-of-type(2)[data-state=partial] .stable')?.textContent", 30)
    await page.screenshot(ARTIFACTS / f"try-{scheme}.png")
    for width in (375, 768, 1280):
        await page.viewport(width, 812, phone=width == 375)
        assert not await page.evaluate(WIDE), f"the try-it page is wider than {width} px"
        if width == 375:
            await page.screenshot(ARTIFACTS / f"try-phone-{scheme}.png")
    await stop(page)
    await page.open(f"{scripted.url}/operator")
    for live in (150, 158, 171, 169, 187):
        scripted.fleet["totals"]["streams"] = live
        await page.until(f"document.querySelector('#live').textContent === '{live}'")
    await page.screenshot(ARTIFACTS / f"operator-{scheme}.png")
    for width in (375, 768, 1280):
        await page.viewport(width, 812, phone=width == 375)
        assert not await page.evaluate(WIDE), f"the operator's page is wider than {width} px"
        if width == 375:
            await page.screenshot(ARTIFACTS / f"operator-phone-{scheme}.png")
