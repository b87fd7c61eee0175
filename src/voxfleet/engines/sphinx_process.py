"""The process in which PocketSphinx decodes, because it holds the interpreter lock while it works.

It answers the engine's questions one after the other, leaves signals to its parent and ends when the engine does.
"""

import ctypes
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from time import process_time
from typing import Any

import msgspec

from voxfleet.engines.sphinx_messages import (
    HEADER,
    Answer,
    Answers,
    Broken,
    Check,
    Checked,
    Question,
    Ready,
    Step,
    frame,
)
from voxfleet.engines.sphinx_seat import Means, Seat, light_decoder

CHECK_MEMORY = 256 << 20
"""Bytes a process that tries grammars may grow by."""
CHECK_SECONDS = 0.25
"""CPU seconds a grammar may take to compile."""


def fault_of(grammar: str, decoder: Any) -> str:
    """Let a light decoder compile the grammar and hear a moment of hum; what went wrong, or an empty string."""
    before = process_time()
    try:
        decoder.add_jsgf_string("grammar", grammar)
    except (ValueError, RuntimeError):
        return "it is not JSGF, or it has words that are not in the dictionary (English, lower case)"
    decoder.activate_search("grammar")
    decoder.start_utt()
    decoder.process_raw(bytes(range(256)) * 40, False, False)
    decoder.end_utt()
    took = process_time() - before
    decoder.activate_search("tiny")
    decoder.remove_search("grammar")
    return f"compiling it takes {took:.1f} s, it is too large" if took > CHECK_SECONDS else ""


def answer(seats: list[Seat], step: Step) -> Answers:
    """Let every fed seat hear; a decoder that fails spoils its own stream only."""
    answers = []
    for feed in step.feeds:
        seat = seats[feed.seat]
        try:
            answers.append(Answer(feed.seat, seat.hear(feed), ""))
        except Exception as error:  # noqa: BLE001  the library raises RuntimeError, ValueError and KeyError alike
            seats[feed.seat].forget()
            answers.append(Answer(feed.seat, [], f"PocketSphinx: {error}"))
    return Answers(answers)


def serve(engine: socket.socket, seats: list[Seat], light: Any) -> None:
    """Answer questions until the engine closes its end."""
    decoder = msgspec.msgpack.Decoder(Question)
    with engine.makefile("rb", buffering=1 << 16) as questions:
        while len(header := questions.read(HEADER.size)) == HEADER.size:
            length = HEADER.unpack(header)[0]
            body = questions.read(length)
            if len(body) < length:
                return
            match decoder.decode(body):
                case Step() as step:
                    engine.sendall(frame(answer(seats, step)))
                case Check(grammar=grammar):
                    engine.sendall(frame(Checked(fault_of(grammar, light))))


def main(descriptor: int, parent: int, count: int, quick: int) -> None:
    """Load `count` decoders, say so, and answer, until the engine closes its end (then nobody is left to tell)."""
    _live_and_die_with(parent)
    with socket.socket(fileno=descriptor) as engine, suppress(BrokenPipeError, ConnectionResetError):
        try:
            light = light_decoder()
            means = Means(light)
            seats = [Seat(means, bool(quick)) for _ in range(count)]
        except Exception as error:  # noqa: BLE001  whatever a missing or broken installation raises
            engine.sendall(frame(Broken(f"PocketSphinx can't be loaded ({type(error).__name__}: {error})")))
            return
        if not seats:
            _limit_memory()
        engine.sendall(frame(Ready()))
        serve(engine, seats, light)


def _live_and_die_with(parent: int) -> None:
    """Leave signals to the parent, and be killed with the thread that started us where the system can do that."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _limit_memory() -> None:
    if sys.platform == "linux":
        with open("/proc/self/statm") as statm:  # noqa: PTH123  one number, read once
            used = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + CHECK_MEMORY, used + CHECK_MEMORY))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:5]))
