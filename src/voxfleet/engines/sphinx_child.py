"""The engine's end of one decoder process: start it, ask it, and notice when it dies or hangs.

Never blocks but in `gather`, and there no longer than it is told.
"""

import os
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterable
from time import monotonic

import msgspec

from voxfleet.engines.sphinx_messages import HEADER, Broken, Question, Ready, Reply, frame

_READ = 1 << 16
_END = 2.0
"""Seconds a process gets to end after its socket was closed."""

_SLOWEST = 30.0
"""Seconds between two starts of a process that never becomes ready."""


class SphinxChild:
    """One process with `seats` decoders; with no seats it is the one that checks grammars.

    After a `fault` nothing more comes from it: close it and start another.
    """

    def __init__(self, seats: int, quick: bool = False) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", "voxfleet.engines.sphinx_process"]
            arguments = [str(theirs.fileno()), str(os.getpid()), str(seats), str(int(quick))]
            # Its own process group: a Ctrl-C at the terminal is for us, and we decide what it means for the decoders.
            self._process = subprocess.Popen(
                command + arguments,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stderr=None if seats else subprocess.DEVNULL,  # callers' grammars make PocketSphinx complain
                process_group=0,
            )
        ours.setblocking(False)
        self.seats = seats
        self.quick = quick
        self.fault = ""
        """Why it can't be used any more, or empty."""
        self._socket = ours
        self._decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
        self._unsent = bytearray()
        self._unread = bytearray()
        self._waits = 1  # it says Ready unasked
        self._loaded = False
        self.reply: Reply | None = None
        """The answer to the last question, once it is there."""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ready(self) -> bool:
        """Whether its decoders are loaded and it is in working order, as far as anybody knows."""
        return self._loaded and not self.fault

    def ask(self, question: Question) -> None:
        """Put a question; `gather` sends it and waits for the reply."""
        self._unsent += frame(question)
        self._waits += 1
        self.reply = None

    def take_reply(self) -> Reply | None:
        """The last reply, once."""
        reply, self.reply = self.reply, None
        return reply

    @property
    def waited_for(self) -> bool:
        """Whether a reply, or the word that it is ready, is still to come."""
        return self._waits > 0 and not self.fault

    def look(self) -> None:
        """Notice, without waiting, that it has become ready or has died."""
        if self.fault:
            return
        if self.waited_for:
            gather((self,), 0.0, patient=True)
        if not self.fault and self._process.poll() is not None:
            self.fault = self._death()

    def close(self) -> None:
        """End the process and leave nothing behind. Closing twice does nothing."""
        self._socket.close()
        if self.fault:
            self._process.kill()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.fault = self.fault or "the decoder process was closed"

    def _pump(self) -> None:
        """Send and receive what can be sent and received now."""
        try:
            while self._unsent:
                with memoryview(self._unsent) as rest:
                    sent = self._socket.send(rest)
                del self._unsent[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.fault = self._death()
            return
        self._receive()

    def _receive(self) -> None:
        try:
            while True:
                received = self._socket.recv(_READ)
                if not received:
                    self.fault = self._death()
                    break
                self._unread += received
        except BlockingIOError:
            pass
        except OSError:
            self.fault = self._death()
        while len(self._unread) >= HEADER.size:
            end = HEADER.size + HEADER.unpack_from(self._unread)[0]
            if len(self._unread) < end:
                break
            self._learn(self._decoder.decode(self._unread[HEADER.size : end]))
            del self._unread[:end]

    def _learn(self, reply: Reply) -> None:
        self._waits -= 1
        match reply:
            case Ready():
                self._loaded = True
            case Broken(why=why):
                self.fault = why
            case _:
                self.reply = reply

    def _death(self) -> str:
        try:
            code = self._process.wait(_END)
        except subprocess.TimeoutExpired:
            return "a decoder process closed its socket"
        return f"a decoder process was killed by signal {-code}" if code < 0 else f"a decoder process ended with {code}"


class Supervised:
    """A decoder process and its successors. The first successor starts at once, later ones ever more slowly."""

    def __init__(self, seats: int, quick: bool) -> None:
        self.child = SphinxChild(seats, quick)
        self._starts = 0
        self._not_before = 0.0

    def look(self) -> None:
        """Notice, without waiting, that the process has become ready or has died."""
        self.child.look()
        if self.child.ready:
            self._starts = 0

    def replace(self) -> None:
        """Start a successor of a process with a fault, unless the last one was started too short a while ago."""
        if monotonic() < self._not_before:
            return
        self.child.close()
        self.child = SphinxChild(self.child.seats, self.child.quick)
        self._not_before = monotonic() + min(_SLOWEST, 2.0**self._starts)
        self._starts += 1


def gather(children: Iterable[SphinxChild], seconds: float, patient: bool = False) -> None:
    """Send what these processes were asked and wait until each has answered or failed, all of them at once.

    A process that has not answered after `seconds` gets a fault, unless the caller is `patient`.
    """
    deadline = monotonic() + seconds
    waiting = {child for child in children if child.waited_for}
    with selectors.DefaultSelector() as selector:
        for child in waiting:
            selector.register(child._socket, _interest(child), child)
        while waiting:
            events = selector.select(max(0.0, deadline - monotonic()))
            if not events and monotonic() >= deadline:
                break
            for key, _ in events:
                child = key.data
                child._pump()
                if child.waited_for:
                    selector.modify(child._socket, _interest(child), child)
                else:
                    waiting.remove(child)
                    selector.unregister(child._socket)
    if not patient:
        for child in waiting:
            child.fault = f"a decoder process gave no answer for {seconds:g} s"


def _interest(child: SphinxChild) -> int:
    return selectors.EVENT_READ | (selectors.EVENT_WRITE if child._unsent else 0)
