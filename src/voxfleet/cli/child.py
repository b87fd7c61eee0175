"""How one process is kept running: started, listened to, killed when it hangs, and started again by how it ended.

A child speaks on its standard output, one JSON object a line: `port` (a gateway: it listens), `ready` (it serves),
`linked` (a gateway: which workers it reaches, name to pid), `beat` (each second, as long as its event loop turns) and
`error` with `code` (why it can't start). Everything else there is noise of some library and is not heard.

How it ends, and what follows: 0 of a worker that was ready: somebody drained it, it stays down. 75 of one that was
ready, or asked by us: it is replaced, at once. Hung: killed, and started at once. All else: it died, and is started
again after a wait that doubles until it has been well for a while.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal, TypeAlias

import structlog

from voxfleet import settings as settings_module
from voxfleet.settings import SupervisorSettings

log = structlog.get_logger()

STEADY_SECONDS = 10.0
"""A process that was ready for so long was healthy: the next wait is the first one again."""
LAST_WORDS_SECONDS = 1.0
"""How long we listen to a process that has ended: its own children may hold its standard output."""
REPLACE = 75
"""Exit code (EX_TEMPFAIL) of a worker that was drained to be started anew."""
NOT_STARTED = 71
"""Exit code (EX_OSERR) we give to a process the system could not start."""

State: TypeAlias = Literal["starting", "ready", "leaving", "waiting", "drained"]


class Child:
    """One process that shall be running. `resolved` is what it is told through VOXFLEET_RESOLVED, anew in each life.

    `news` is notified whenever something worth waiting for has changed here; children of one fleet share it.
    """

    def __init__(
        self,
        name: str,
        module: str,
        resolved: dict[str, Any],
        patience: SupervisorSettings,
        news: asyncio.Condition,
        *,
        may_be_drained: bool,
    ) -> None:
        """`may_be_drained`: it stays down when it ended with 0 though we did not ask it to."""
        self.name = name
        self.module = module
        self.resolved = resolved
        self.said: dict[str, Any] = {}
        """The newest of each thing its present life has said."""
        self.lives = 0
        """How often it was started."""
        self.failure: dict[str, Any] | None = None
        """Its `error` and `code`, when its first life ended before it was ready."""
        self._patience = patience
        self._news = news
        self._may_be_drained = may_be_drained
        self._process: asyncio.subprocess.Process | None = None
        self._silent = 0.0
        self._ready_at: float | None = None
        self._told = self._hung = self._again = False
        self._leaving = asyncio.Event()
        self._woken = asyncio.Event()
        self._resting: Literal["waiting", "drained"] | None = None

    @property
    def pid(self) -> int | None:
        """Of the running process, None where none runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def state(self) -> State:
        """starting, ready, leaving (we told it to), waiting (dead, soon started again) or drained (stays down)."""
        if self._resting is not None:
            return self._resting
        if self._told:
            return "leaving"
        return "ready" if "ready" in self.said else "starting"

    async def run(self) -> None:
        """Keep it running until `leave`."""
        wait = self._patience.restart_first
        while not self._leaving.is_set():
            self._again = False
            self._woken.clear()
            code, well = await self._live()
            if self._leaving.is_set():
                return
            if well >= STEADY_SECONDS:
                wait = self._patience.restart_first
            pause = self._pause_after(code, wait)
            if pause == 0.0:
                continue
            if pause is not None:
                wait = min(wait * 2, self._patience.restart_most)
            await self._rest(pause)

    async def leave(self, within: float) -> None:
        """SIGTERM, and SIGKILL if it is still there after `within` seconds; it is not started again."""
        self._leaving.set()
        self._woken.set()
        await self._end(within)

    async def replace(self, within: float) -> None:
        """End it as `leave` does, and start it again at once; one that was drained is just started.

        Returns when the old process has ended; the new one is `lives` > what it was.
        """
        self._again = True
        self._woken.set()
        await self._end(within)

    def watched(self, seconds: float) -> None:
        """Count `seconds` in which we ran and it said nothing; too many of them, and it is killed and started again.

        A first life that never becomes ready is not our affair: whoever waits for the start has more to say about it.
        """
        if self.pid is None or self._hung or (not self._beating and self.lives == 1):
            return
        self._silent += seconds
        if self._silent > (self._patience.beat_seconds if self._beating else self._patience.ready_seconds):
            log.warning("process_hung", name=self.name, silent=round(self._silent, 1))
            self._hung = True
            self._kill()

    @property
    def _beating(self) -> bool:
        return "beat" in self.said or "ready" in self.said

    def _pause_after(self, code: int, wait: float) -> float | None:
        """Seconds to rest before the next life: `wait` after a death, None while nobody asks for one."""
        was_ready = self._ready_at is not None
        if self._again or (was_ready and code == REPLACE):
            log.info("process_replaced", name=self.name)
            return 0.0
        if self._hung:
            return 0.0
        if was_ready and code == 0 and self._may_be_drained:
            log.info("process_drained", name=self.name)
            return None
        log.warning("process_died", name=self.name, exit_code=code, restart_in=wait)
        return wait

    async def _rest(self, seconds: float | None) -> None:
        """Until `seconds` are over or somebody wants it up, or down for good."""
        self._resting = "drained" if seconds is None else "waiting"
        await self._tell()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._resting = None

    async def _live(self) -> tuple[int, float]:
        """One life: its exit code, and for how long it was ready."""
        loop = asyncio.get_running_loop()
        self._told = self._hung = False
        self._silent, self._ready_at = 0.0, None
        try:
            async with _heard_pipe() as (words, their_end):
                process = await self._start(their_end)
                listening = asyncio.create_task(self._listen(words))
                code = await process.wait()
                await asyncio.wait([listening], timeout=LAST_WORDS_SECONDS)
                listening.cancel()
        except OSError as error:
            log.warning("process_not_started", name=self.name, error=error.strerror)
            code = NOT_STARTED
        if self.lives <= 1 and self._ready_at is None:
            ended = f"{self.name} ended with exit code {code} before it was ready"
            self.failure = self.said if "error" in self.said else {"error": ended}
        self.said = {}
        await self._tell()
        return code, 0.0 if self._ready_at is None else loop.time() - self._ready_at

    async def _start(self, their_end: int) -> asyncio.subprocess.Process:
        environment = {k: v for k, v in os.environ.items() if k not in settings_module.OTHER_VARIABLES}
        environment["VOXFLEET_RESOLVED"] = json.dumps(self.resolved)
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self.module,
                stdin=asyncio.subprocess.PIPE,  # its lifeline: held open as long as we live
                stdout=their_end,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches us alone; we decide who leaves when
            )
        finally:
            os.close(their_end)
        self.lives += 1
        if self._leaving.is_set():  # while the system was starting it
            self._kill()
        return self._process

    async def _listen(self, lines: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await lines.readline()
            except ValueError:  # a library wrote more than a line may have
                continue
            if not line:
                return
            if line.startswith(b"{"):
                with suppress(ValueError):
                    await self._hear(json.loads(line))

    async def _hear(self, words: dict[str, Any]) -> None:
        self._silent = 0.0
        self.said |= words
        if "ready" in words and self._ready_at is None:
            self._ready_at = asyncio.get_running_loop().time()
        if words.keys() != {"beat"}:
            await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _end(self, within: float) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        if not self._told:  # a second SIGTERM would cut off what the first lets finish
            self._told = True
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(within):
                await process.wait()
        except TimeoutError:
            log.warning("process_killed", name=self.name)
            self._kill()
            await process.wait()

    def _kill(self) -> None:
        """The process and its own children: they are a session of their own."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


@asynccontextmanager
async def _heard_pipe() -> AsyncIterator[tuple[asyncio.StreamReader, int]]:
    """A pipe: our end as a reader, and theirs, which is to be closed here when they have it.

    Not asyncio's own: a process would count as running as long as any child of its own holds that one open.
    """
    ours, theirs = os.pipe()
    lines = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(ours, "rb")
    )
    try:
        yield lines, theirs
    finally:
        transport.close()
