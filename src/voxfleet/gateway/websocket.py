"""One socket: frames in, messages out. Memory per stream is bounded whatever the caller does.

Reading stops while the stream is behind (Conversation.pace), frames are bounded by the server, what waits to be sent is
bounded by the outbox, and a caller that neither reads nor leaves is cut.
"""

import asyncio
import time
from contextlib import suppress

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from voxfleet.errors import Draining, MessageTooBig, VoxfleetError
from voxfleet.gateway.live import LiveCalls
from voxfleet.gateway.server import StreamProtocol
from voxfleet.serving.conversation import Conversation, House
from voxfleet.serving.lateness import p95
from voxfleet.serving.outbox import HandOver, Pong
from voxfleet.speech import Seconds, Settled
from voxfleet.telemetry.tracing import Tracing
from voxfleet.wire import native
from voxfleet.wire.resume import Checkpoint

log = structlog.get_logger()

FAREWELL_SECONDS = 5.0
"""How long a failing call may take to be told its error before the connection is cut."""
HANDED_OVER = "this gateway is leaving: connect again with this token"


class Streams:
    """Serves GET /v1/stream for all callers of a gateway."""

    def __init__(self, house: House, live: LiveCalls, tracing: Tracing) -> None:
        self._house = house
        self._live = live
        self._tracing = tracing

    async def serve(self, socket: WebSocket) -> None:
        """One connection, from handshake to close. Never raises for anything a caller can do."""
        await socket.accept()
        with suppress(WebSocketDisconnect):  # the caller left: nobody to tell
            try:
                if self._live.draining:
                    raise Draining
                query = _query(socket)
                options = native.parse_query(query)
                resumed = self._resumed(query)
                conversation = Conversation(self._house, options, resumed=resumed)
                await conversation.open()
            except VoxfleetError as error:
                await self._refuse(socket, error)
                return
            with self._tracing.span("call", model=conversation.info.name, channels=options.channels):
                await self._talk(socket, conversation, resumed)

    def _resumed(self, query: dict[str, str]) -> Checkpoint | None:
        """Where the caller wants to go on, None for a new stream. Raises BadValue or ResumeRefused."""
        token = native.resume_token(query)
        if token is None:
            return None
        checkpoint = self._house.signer.read(token, time.time())
        self._live.take_over(checkpoint.session)
        self._house.metrics.resumes.inc(len(checkpoint.marks))
        return checkpoint

    async def _talk(self, socket: WebSocket, conversation: Conversation, resumed: Checkpoint | None) -> None:
        with self._live.holding(conversation, resumed.session if resumed else None) as session:
            try:
                ready = self._ready(session, conversation)
                ready.resumed_from = resumed.resume_from if resumed else None
                await self._send(socket, ready)
                await self._converse(socket, conversation, session)
            finally:
                conversation.close()

    async def _converse(self, socket: WebSocket, conversation: Conversation, session: str) -> None:
        wire = Wire(socket, conversation, self._house.settings.gateway.max_frame_bytes)
        reader = asyncio.create_task(wire.read())
        writer = asyncio.create_task(self._write(socket, conversation, session))
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if conversation.failure is not None and not writer.done():
                await asyncio.wait({writer}, timeout=FAREWELL_SECONDS)
            if not writer.done():
                self._cut(wire, conversation)
        finally:
            reader.cancel()
            writer.cancel()
            outcomes = await asyncio.gather(reader, writer, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
                raise outcome

    async def _write(self, socket: WebSocket, conversation: Conversation, session: str) -> None:
        """Events to messages, until the call is done or has failed."""
        with_words, resumable = conversation.options.words, conversation.resumable
        while True:
            events = await conversation.outbox.take()
            for event in events:
                if isinstance(event, Pong):
                    await self._send(socket, native.PongMessage(event.id))
                elif isinstance(event, HandOver):
                    token, since = self._token(session, conversation)
                    await self._send(socket, native.ReconnectMessage(token, since, HANDED_OVER))
                elif isinstance(event, Settled) and resumable:
                    conversation.sent(event)  # what went before it has left, so the token may speak of it
                    await self._send(socket, native.ack_of(event, *self._token(session, conversation)))
                else:
                    await socket.send_text(native.encode(native.message_of(event, words=with_words)))
                    conversation.sent(event)
            if conversation.failure is not None:
                await self._refuse(socket, conversation.failure)
                return
            if conversation.done and not events:
                await self._send(socket, _done(conversation))
                await socket.close(1000)
                return

    def _token(self, session: str, conversation: Conversation) -> tuple[str, Seconds]:
        """What resumes the call from what was sent so far, and the stream time its audio is needed from."""
        checkpoint = conversation.checkpoint(session, time.time())
        return self._house.signer.sign(checkpoint), checkpoint.resume_from

    async def _refuse(self, socket: WebSocket, error: VoxfleetError) -> None:
        self._count(error)
        log.info("stream_refused", code=error.code)
        if socket.client_state is WebSocketState.CONNECTED:
            await self._send(socket, native.error_message(error))
            await socket.close(error.close_code, error.code)

    def _cut(self, wire: "Wire", conversation: Conversation) -> None:
        """The caller left, or does not even read its error: let go of the connection at once."""
        if conversation.failure is not None:
            self._count(conversation.failure)
        wire.protocol.abort()

    def _count(self, error: VoxfleetError) -> None:
        self._house.metrics.errors.labels(error.code).inc()
        self._live.note(error)

    async def _send(self, socket: WebSocket, message: native.ServerMessage) -> None:
        await socket.send_text(native.encode(message))

    def _ready(self, session: str, conversation: Conversation) -> native.ReadyMessage:
        settings, options, info = self._house.settings, conversation.options, conversation.info
        return native.ReadyMessage(
            token=self._token(session, conversation)[0] if conversation.resumable else None,
            session=session,
            model=info.name,
            language=options.language,
            channels=options.channels,
            sample_rate=options.sample_rate,
            encoding=options.encoding.value,
            chunk_ms=info.chunk_ms[0],
            endpointing_ms=options.endpointing_ms or settings.turn.endpointing_ms,
            limits=native.LimitsMessage(
                max_frame_bytes=settings.gateway.max_frame_bytes,
                max_ahead=settings.gateway.max_ahead,
                idle_timeout=settings.gateway.idle_timeout,
                max_turn=settings.turn.max_turn,
            ),
        )


class Wire:
    """The receiving side of one socket: every frame becomes a command at once, in the order of arrival."""

    def __init__(self, socket: WebSocket, conversation: Conversation, limit: int) -> None:
        self.protocol: StreamProtocol = socket.scope["extensions"]["voxfleet.socket"]
        self._socket = socket
        self._conversation = conversation
        self._limit = limit
        self._crowded = asyncio.Event()

    async def read(self) -> None:
        """Until the caller leaves or the call fails; a caller that is too fast is made to wait here."""
        self.protocol.listen(self._hear)
        leaving = asyncio.create_task(self._left())
        crowded = asyncio.create_task(self._crowded.wait())
        try:
            while not leaving.done() and self._conversation.failure is None:
                await asyncio.wait({leaving, crowded}, return_when=asyncio.FIRST_COMPLETED)
                if self._crowded.is_set():
                    await self._conversation.pace()
                    self._crowded.clear()
                    self.protocol.resume()
                    crowded = asyncio.create_task(self._crowded.wait())
        finally:
            leaving.cancel()
            crowded.cancel()
            await asyncio.gather(leaving, crowded, return_exceptions=True)

    async def _left(self) -> None:
        while (await self._socket.receive())["type"] != "websocket.disconnect":
            pass

    def _hear(self, frame: bytes | str) -> None:
        conversation = self._conversation
        if conversation.failure is not None:
            return
        try:
            if len(frame) > self._limit:
                raise MessageTooBig(self._limit)
            conversation.command(native.decode(frame))
        except VoxfleetError as error:
            conversation.failed(error)
        if conversation.crowded and not self._crowded.is_set():
            self.protocol.pause()
            self._crowded.set()


def _query(socket: WebSocket) -> dict[str, str]:
    """The query; phrases may be given one by one, as `phrases=a&phrases=b`."""
    query = dict(socket.query_params)
    if "phrases" in query:
        query["phrases"] = ",".join(filter(None, socket.query_params.getlist("phrases")))
    return query


def _done(conversation: Conversation) -> native.DoneMessage:
    totals = conversation.totals
    return native.DoneMessage(
        audio=round(totals.audio, 3),
        turns=totals.finals,
        words=totals.words,
        partials=totals.partials - conversation.outbox.replaced,
        finals=totals.finals,
        final_latency_p95=p95(conversation.lateness.final),
        emission_latency_p95=p95(conversation.lateness.emission),
    )
