"""POST /v1/audio/transcriptions and /v1/audio/translations, as OpenAI's clients speak them, for whole files.

Form and answers follow the openai Python package (2026-08); errors come as {"error": {message, type, param, code}}.
The names of OpenAI's hosted models stand for this server's default model, so that clients which insist on one work
unchanged. Who names no language gets the one that is spoken, where the model can find it out.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Message, Receive

from voxfleet.errors import (
    BadRequest,
    BadValue,
    CallerError,
    Draining,
    MessageTooBig,
    NotReady,
    UnknownParameter,
    VoxfleetError,
)
from voxfleet.gateway.live import LiveCalls
from voxfleet.serving.catalog import meant
from voxfleet.serving.conversation import House
from voxfleet.serving.offline import Recording, transcribe
from voxfleet.speech import AUTO
from voxfleet.telemetry.tracing import Tracing
from voxfleet.wire import phrases
from voxfleet.wire.options import Task, language_tag, translates
from voxfleet.wire.transcript import Format, document, lines_of, render

HOSTED_NAMES = frozenset(
    {
        "whisper-1",
        "gpt-transcribe",
        "gpt-4o-transcribe",
        "gpt-4o-mini-transcribe",
        "gpt-4o-mini-transcribe-2025-12-15",
        "gpt-4o-transcribe-diarize",
    }
)
USED = frozenset(
    {
        "file",
        "model",
        "language",
        "task",
        "response_format",
        "timestamp_granularities[]",
        "grammar",
        "phrases",
        "stream",
    }
)
IGNORED = frozenset({"prompt", "temperature", "include[]", "chunking_strategy", "timestamp_granularities"})
"""Accepted and without effect: hints that no engine of this version takes."""
FORM_OVERHEAD = 65_536
"""Bytes of a multipart body beside the file itself."""
TRANSLATED = "en"
"""The language of every translation."""
MEDIA_TYPES = {Format.SRT: "application/x-subrip", Format.VTT: "text/vtt"}


class Transcriptions:
    """Recorded files over HTTP; so many at once as the settings allow, the rest wait in order."""

    def __init__(self, house: House, live: LiveCalls, tracing: Tracing) -> None:
        self._house = house
        self._live = live
        self._tracing = tracing
        self._room = asyncio.Semaphore(house.settings.gateway.max_files)

    async def serve(self, request: Request) -> Response:
        """What is said in the file, or with the field task=translate its English text."""
        return await self._served(request, None)

    async def serve_translation(self, request: Request) -> Response:
        """The English text of what is said in the file."""
        return await self._served(request, Task.TRANSLATE)

    async def _served(self, request: Request, task: Task | None) -> Response:
        try:
            if self._live.draining:
                raise Draining
            return await self._transcribe(request, task)
        except VoxfleetError as error:
            self._house.metrics.errors.labels(error.code).inc()
            return _refused(error)

    async def _transcribe(self, request: Request, task: Task | None) -> Response:
        limit = self._house.settings.gateway.max_file_bytes
        async with _form(request, limit) as form:
            style = _style(form)
            upload = form.get("file")
            if not isinstance(upload, UploadFile):
                raise BadRequest("the form has no file: send multipart/form-data with a part named 'file'")
            model = self._model(_text(form, "model"))
            translate = _translate(form, task)
            language = language_tag(_text(form, "language") or self._language(model))
            grammar = _text(form, "grammar")
            expected = phrases.parse(_joined(form, "phrases"))
            data = await upload.read()
        async with self._room:
            with self._tracing.span("file", bytes=len(data)):
                recording = await transcribe(
                    self._house,
                    data,
                    language=language,
                    model=model,
                    grammar=grammar,
                    phrases=expected,
                    translate=translate,
                )
        return _answer(style, recording, translated=translate)

    def _model(self, asked: str | None) -> str | None:
        served = self._house.pool.models
        return None if asked in HOSTED_NAMES and asked not in served else meant(asked, served)

    def _language(self, model: str | None) -> str:
        """What a caller who names no language most likely means: the one that is spoken, else the model's first."""
        languages = self._house.pool.models.get(model or self._house.pool.default_model)
        if not languages:
            if model and self._house.pool.models:
                return "en"  # the pool names the unknown model
            raise NotReady
        return AUTO if AUTO in languages else languages[0]


@asynccontextmanager
async def _form(request: Request, limit: int) -> AsyncIterator[FormData]:
    """The parsed form; larger files than `limit` are refused while they arrive, before they are kept."""
    bounded = Request(request.scope, _bounded(request.receive, limit))
    try:
        async with bounded.form(max_files=1, max_fields=32) as form:
            for name in form:
                if name not in USED | IGNORED:
                    raise UnknownParameter(name, USED | IGNORED)
            yield form
    except HTTPException as error:
        raise BadRequest(f"not a readable form: {error.detail}") from None


def _bounded(receive: Receive, limit: int) -> Receive:
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit + FORM_OVERHEAD:
            raise MessageTooBig(limit)
        return message

    return counted


def _text(form: FormData, name: str) -> str | None:
    value = form.get(name)
    if isinstance(value, UploadFile):
        raise BadValue(name, "a file", "text")
    return value or None


def _joined(form: FormData, name: str) -> str:
    """All values of a field that may be given more than once."""
    values = [value for value in form.getlist(name) if value]
    if any(isinstance(value, UploadFile) for value in values):
        raise BadValue(name, "a file", "text")
    return ",".join(map(str, values))


def _translate(form: FormData, task: Task | None) -> bool:
    """Whether the text is to be in English whatever is spoken; `task` is that of the address, None where it has none."""
    asked = _text(form, "task")
    translate = translates(asked or task or "")
    if task is Task.TRANSLATE and not translate:
        raise BadValue("task", asked, "translate at this address; transcripts come from /v1/audio/transcriptions")
    return translate


def _style(form: FormData) -> Format:
    name = _text(form, "response_format") or "json"
    try:
        style = Format(name)
    except ValueError:
        raise BadValue("response_format", name, f"one of {', '.join(Format)}") from None
    if (_text(form, "stream") or "false").lower() == "true":
        raise BadValue("stream", "true", "false: files are answered whole; live text comes from GET /v1/stream")
    return style


def _answer(style: Format, recording: Recording, *, translated: bool) -> Response:
    lines, language = lines_of(recording.finals), TRANSLATED if translated else recording.language
    if style is Format.VERBOSE_JSON and translated:
        told = document(lines, language=language, duration=recording.duration) | {"task": Task.TRANSLATE.value}
        return Response(json.dumps(told, ensure_ascii=False), media_type="application/json")
    body = render(style, lines, language=language, duration=recording.duration)
    if style in (Format.JSON, Format.VERBOSE_JSON):
        return Response(body, media_type="application/json")
    return PlainTextResponse(body, media_type=MEDIA_TYPES.get(style, "text/plain"))


def _refused(error: VoxfleetError) -> Response:
    kind = "invalid_request_error" if isinstance(error, CallerError) else "server_error"
    headers = {"Retry-After": str(max(1, round(error.retry_after)))} if error.retry_after else None
    content = {
        "error": {"message": str(error), "type": kind, "param": getattr(error, "name", None), "code": error.code}
    }
    return JSONResponse(content, error.http_status, headers)
