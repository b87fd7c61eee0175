"""Reports as a real run would write them, from a seed: 60 callers, 8 rungs, 300 recordings in three modes."""

import math
import random
from collections.abc import Callable, Sequence

import numpy as np

from voxfleet.evaluation.report.clips import clip_uri
from voxfleet.evaluation.report.document import (
    About,
    Accuracy,
    AlignedWord,
    Capacity,
    Cost,
    EvaluationReport,
    Figure,
    Health,
    ItemResult,
    Latency,
    LoadReport,
    Machine,
    ModeResult,
    Named,
    Problem,
    Rung,
    Slice,
    Stability,
    Stall,
    StreamLine,
    Streams,
    Target,
    Words,
)

NORMALISER = "whisper-normalizer 0.1.12, English"
HOSTILE = '</script><img src=x onerror="window.stolen=1">'
SENTENCES = (
    "good morning thank you for calling the service desk my name is anna how can i help account number five nine six "
    "one please hold the line while i look that up your invoice was sent on monday and the payment is due next friday"
)
WORDS = SENTENCES.split()
HEARD = {"anna": "ana", "nine": "line", "invoice": "in voice", "desk": "disk", "hold": "old", "due": "do"}


def machine() -> Machine:
    return Machine(
        processor="Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
        cores=2,
        memory_gib=7.8,
        system="Linux 6.8",
        python="3.12.3",
        voxfleet="0.4.0",
    )


def about(title: str, command: str, *, partial: bool = False) -> About:
    return About(
        title=title,
        created="2026-03-14T09:26:53+00:00",
        command=command,
        seed=7,
        machine=machine(),
        target=Target(
            url="ws://127.0.0.1:8080/v1/stream",
            dialect="native",
            private=True,
            model="embedded-en",
            language="en",
            sample_rate=16_000,
            chunk_ms=40,
            endpointing_ms=500,
        ),
        audio="MANIFEST.tsv: 300 recordings, 42 min; simulated lines: G.711 A-law 8 kHz, babble at 10 dB",
        partial=partial,
    )


def latency(name: str, meaning: str, median: float, spread: float, count: int, random_: random.Random) -> Latency:
    """Lognormal around a median; emission may come before the word has ended."""
    shift = 0.25 if name == "emission" else 0.0
    values = sorted(median * math.exp(random_.gauss(0, spread)) - shift for _ in range(count))

    def at(percent: float) -> Figure:
        value = values[min(int(percent / 100 * count), count - 1)]
        doubt = abs(value) * 2 / math.sqrt(count) + 0.005
        return Figure(round(value, 4), round(value - doubt, 4), round(value + doubt, 4))

    points = min(count, 200)
    places = [round((number + 1) / points * count) - 1 for number in range(points)]
    too_few = [name for name, least in (("p95", 100), ("p99", 1000)) if count < least]
    return Latency(
        name=name,
        meaning=meaning,
        count=count,
        p50=at(50),
        p90=at(90),
        p95=at(95),
        p99=at(99) if count >= 60 else None,
        largest=values[-1],
        too_few=too_few,
        cdf=[(values[place], (place + 1) / count) for place in places],
    )


def latencies(seed: int, count: int, slower: float = 1.0) -> list[Latency]:
    chance = random.Random(seed)
    return [
        latency(
            "first_partial",
            "Due time of the first word's last sample → first partial.",
            0.31 * slower,
            0.35,
            count,
            chance,
        ),
        latency(
            "emission",
            "Due time of a word's last sample → first text containing it.",
            0.52 * slower,
            0.3,
            9 * count,
            chance,
        ),
        latency(
            "final",
            "Due time of a turn's last speech sample → its final, client's clock.",
            0.61 * slower,
            0.28,
            count,
            chance,
        ),
        latency(
            "response_lag", "Arrival of text − due time of the audio it covers.", 0.4 * slower, 0.3, 12 * count, chance
        ),
    ]


def rung(streams: int, seed: int) -> Rung:
    """Past 480 callers the server begins to lag and to refuse; at 700 the generator itself falls behind."""
    load = streams / 480
    slower = 0.7 + 0.5 * load**2 if load <= 1 else 1.2 * math.exp(2.6 * (load - 1))
    measured = latencies(seed, streams, slower)
    finals = next(one.p95 for one in measured if one.name == "final" and one.p95)
    refused = max(0, streams - 620)
    failed = 3 if streams == 800 else 0
    meets = finals.value <= 2 and not refused
    return Rung(
        streams=streams,
        seconds=120,
        meets=meets,
        why_not=[] if meets else [f"p95 final {finals.value:.2f} s", *([f"{refused} refused"] if refused else [])],
        valid=streams != 700,
        counts=Streams(
            offered=streams,
            admitted=streams - refused - failed,
            refused=refused,
            failed=failed,
            finished=streams - refused - failed,
            most_at_once=streams - refused,
            reasons={"at_capacity": refused} if refused else {},
        ),
        latencies=measured,
        lag_growth=Figure(max(0.0, load - 1) * 2, max(0.0, load - 1.1) * 2, max(0.01, load - 0.9) * 2),
        stalls=0 if streams < 700 else 4,
    )


def timeline(callers: int, seed: int = 5) -> list[StreamLine]:
    chance = random.Random(seed)
    lines = []
    for stream in range(callers):
        begin = chance.uniform(0, 60)
        outcome = chance.choices(("finished", "refused", "failed", "cut short"), (48, 5, 3, 4))[0]
        if outcome == "refused":
            lines.append(StreamLine(stream=stream, begin=begin, end=begin + 0.02, outcome=outcome))
            continue
        end = begin + chance.lognormvariate(3.4, 0.4)
        at, speech, partials, finals = begin + 0.6, [], [], []
        while at < end - 1:
            said = min(chance.uniform(1, 6), end - at - 0.2)
            speech.append((at, at + said))
            partials += [at + 0.4 + 0.3 * number for number in range(int(said / 0.3))]
            finals.append(at + said + chance.uniform(0.4, 0.9))
            at += said + chance.uniform(0.8, 4)
        lines.append(
            StreamLine(
                stream=stream, begin=begin, end=end, outcome=outcome, speech=speech, partials=partials, finals=finals
            )
        )
    return lines


def load_report(
    *, callers: int = 400, partial: bool = False, because: Sequence[str] = (), capacity: bool = True, seed: int = 3
) -> LoadReport:
    steps = [(float(at), int(callers * min(1, at / 20) * (1 - 0.04 * math.sin(at)))) for at in range(180)]
    steps += [(180.0 + at, max(0, int(callers * (1 - at / 10)))) for at in range(11)]
    rungs = [rung(streams, 100 + streams) for streams in (50, 100, 200, 300, 400, 480, 600, 700, 800)]
    title = f"{callers} callers, simulated telephone lines"
    return LoadReport(
        about=about(title, f"voxfleet load --streams {callers} --seconds 180 --audio MANIFEST.tsv", partial=partial),
        arrivals="Poisson, 20 a second, calls lognormal with median 30 s",
        warm_up=20,
        seconds=160,
        health=Health(
            valid=not because,
            because=list(because),
            lag_p50=0.0004,
            lag_p99=0.0071 if not because else 0.412,
            lag_max=0.0213 if not because else 1.83,
            cpu_share=0.41 if not because else 0.99,
            frames_sent=1_600_412,
        ),
        streams=Streams(
            offered=callers + 12,
            admitted=callers + 2,
            refused=9,
            failed=1,
            finished=callers,
            most_at_once=callers - 3,
            reasons={"at_capacity": 9, "connection_lost": 1},
        ),
        latencies=latencies(seed, 1 + callers * 2),
        stability=Stability(
            final_words=41_812,
            shown_and_changed=3_702,
            revisions=2_911,
            partials=120_441,
            committed_revisions=0,
            turns=callers * 2,
            revised_turns=callers,
            upwr=3_702 / 41_812,
            revisions_per_word=2_911 / 41_812,
        ),
        stalls=[Stall(17, 92.4, 6.1), Stall(203, 140.0, 11.8)],
        bytes_sent=2_048_000_000,
        bytes_received=71_400_000,
        audio_seconds=64_000,
        accuracy=Accuracy(normaliser=NORMALISER, calls=callers, words=words(38_112, 2_400, 811, 489)),
        concurrency=steps,
        timeline=timeline(60),
        refusals=[12.0, 12.4, 61.0],
        capacity=Capacity(
            objective="p95 emission and final ≤ 2 s, 0 errors",
            streams=480,
            is_lower_bound=False,
            beyond="at 600 streams the p95 of finals is 2.5 s and lag grows by 0.5 s a minute; refused from 620 on",
            final_p95_limit=2.0,
            emission_p95_limit=2.0,
            rungs=rungs,
        )
        if capacity
        else None,
        problems=[
            Problem("caller 311", "connection_lost", "The server closed the connection without a goodbye (1006)."),
            Problem("MANIFEST.tsv line 88", "missing_audio", "misc/gone.wav: No such file or directory"),
        ],
    )


def words(hits: int, substitutions: int, deletions: int, insertions: int) -> Words:
    spoken = hits + substitutions + deletions
    rate = (substitutions + deletions + insertions) / spoken if spoken else 0.0
    doubt = 1.6 * math.sqrt(max(rate, 0.001) / max(spoken, 1)) * 1.96
    return Words(
        hits=hits,
        substitutions=substitutions,
        deletions=deletions,
        insertions=insertions,
        rate=Figure(rate, max(0.0, rate - doubt), rate + doubt) if spoken else None,
    )


def pooled(items: Sequence[ItemResult], of: Callable[[ItemResult], Words | None] = lambda item: item.words) -> Words:
    found = [counts for item in items if (counts := of(item)) is not None]
    return words(
        *(sum(getattr(one, name) for one in found) for name in ("hits", "substitutions", "deletions", "insertions"))
    )


def item(number: int, mode: str, errors: float) -> ItemResult:
    """The same recording says the same words in every mode; what is heard of them differs."""
    said_by, heard_by = random.Random(number), random.Random(f"{number} {mode}")
    columns = {
        "speaker": f"speaker-{number % 42:02d}",
        "accent": said_by.choice(("us", "scotland", "india", "ireland")),
        "line": said_by.choice(("clean", "a-law", "babble 10 dB", "packet loss 3 %")),
    }
    errors *= 1 + 0.9 * (columns["line"] == "babble 10 dB") + 0.4 * (columns["accent"] == "scotland")
    alignment = []
    for word in said_by.choices(WORDS, k=said_by.randint(4, 22)):
        chance = heard_by.random()
        if chance < errors * 0.6:
            alignment.append(AlignedWord("substitute", word, HEARD.get(word, heard_by.choice(WORDS) + "s")))
        elif chance < errors * 0.85:
            alignment.append(AlignedWord("delete", word))
        elif chance < errors:
            alignment += [AlignedWord("equal", word, word), AlignedWord("insert", None, "uh")]
        else:
            alignment.append(AlignedWord("equal", word, word))
    return scored(f"calls/{number:04d}.wav", columns["speaker"], alignment, columns, heard_by.uniform(0.4, 1.1))


def scored(
    name: str, unit: str, alignment: list[AlignedWord], columns: dict[str, str] | None = None, final: float = 0.8
) -> ItemResult:
    """An item whose counts follow from its alignment."""
    ops = [column.op for column in alignment]
    counts = words(*(ops.count(op) for op in ("equal", "substitute", "delete", "insert")))
    reference = " ".join(column.said for column in alignment if column.said)
    hypothesis = " ".join(column.heard for column in alignment if column.heard)
    return ItemResult(
        item=name,
        unit=unit,
        seconds=0.4 * len(alignment),
        columns=columns or {},
        reference=reference.capitalize() + ".",
        hypothesis=hypothesis.capitalize() + ".",
        words=counts,
        characters=words(5 * counts.hits, 2 * counts.substitutions, 4 * counts.deletions, 3 * counts.insertions),
        alignment=alignment,
        final_latency=[final],
        emission=[final - 0.2],
    )


def mode(name: str, items: list[ItemResult], *, live: bool) -> ModeResult:
    slices = []
    for by in ("accent", "line", "speaker"):
        for value in sorted({one.columns[by] for one in items if by in one.columns}):
            chosen = [one for one in items if one.columns.get(by) == value]
            slices.append(Slice(by=by, value=value, items=len(chosen), words=pooled(chosen)))
    overall = pooled(items)
    return ModeResult(
        mode=name,
        items=items,
        words=overall,
        raw=words(overall.hits - len(items), overall.substitutions + len(items), overall.deletions, overall.insertions),
        characters=pooled(items, lambda one: one.characters),
        slices=slices,
        figures=[
            Named(
                name="Number F1",
                figure=Figure(0.912, 0.88, 0.94),
                unit="share",
                counts={"hits": 412, "missed": 31, "invented": 48},
                meaning="Numbers as wholes.",
            ),
            Named(
                name="Hallucination",
                figure=Figure(1.4, 0.6, 2.5),
                unit="words per minute",
                counts={"words": 21},
                meaning="Words in recordings without speech.",
            ),
            Named(name="Speaker error (DER)", figure=None, unit="share", meaning="No reference carries speakers."),
        ],
        latencies=latencies(len(name), 412)[1:3] if live else [],
    )


def evaluation_report(
    *, items: int = 300, better: float = 1.0, clips: int = 12, partial: bool = False
) -> EvaluationReport:
    offline, live, eager = (
        mode(
            name, [item(number, name + str(better), errors * better) for number in range(items)], live=name != "offline"
        )
        for name, errors in (("offline", 0.08), ("live", 0.10), ("live endpointing 300 ms", 0.12))
    )
    worst = sorted(offline.items, key=lambda one: -sum(column.op != "equal" for column in one.alignment))
    return EvaluationReport(
        about=about(
            f"{items} recordings, three modes", "voxfleet evaluate --audio MANIFEST.tsv --live", partial=partial
        ),
        normaliser=NORMALISER,
        unit="speaker: utterances of one speaker are alike",
        modes=[offline, live, eager],
        streaming_cost=[
            Cost(mode="live", points=Figure(0.019, 0.012, 0.027), final_p95=0.92),
            Cost(mode="live endpointing 300 ms", points=Figure(0.038, 0.028, 0.049), final_p95=0.64),
        ],
        problems=[Problem("calls/0299.wav", "server_error", "engine_failed: the worker was lost; tried 3 times.")],
        clips={one.item: clip_uri(tone(300 + 20 * number), 16_000) for number, one in enumerate(worst[:clips])},
    )


def tone(hz: float, seconds: float = 1.5, rate: int = 16_000) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)
