"""One recorded file driven through the same door as a live call, as fast as its place allows, at lowest priority."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from voxfleet.audio.container import decode_file
from voxfleet.serving.conversation import Conversation, House
from voxfleet.speech import AUTO, Final, Seconds
from voxfleet.wire.commands import Audio, Finish
from voxfleet.wire.options import Encoding, StreamOptions
from voxfleet.wire.phrases import Phrase

BLOCK_SECONDS = 1.0
"""Audio handed over at a time; between two blocks live calls have their turn on the event loop."""
UNDETERMINED = "und"
"""BCP-47 for a language nobody could tell."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What was said in one file."""

    finals: tuple[Final, ...]
    duration: Seconds
    language: str
    """BCP-47 tag of what is spoken: as the caller said, or as the engine found in most of it."""
    model: str


async def transcribe(
    house: House,
    file: bytes,
    *,
    language: str,
    model: str | None = None,
    grammar: str | None = None,
    phrases: tuple[Phrase, ...] = (),
    translate: bool = False,
) -> Recording:
    """All finals of a file, its channels mixed down to one stream; with `translate` they are English.

    Raises BadAudio for what is not audio, CapacityError where no place is free, EngineError where the engine fails.
    """
    loop = asyncio.get_running_loop()
    frames, rate = await loop.run_in_executor(None, decode_file, file)
    mono = np.ascontiguousarray(frames.mean(axis=1, dtype=np.float32))
    options = StreamOptions(
        language=language,
        encoding=Encoding.FLOAT32,
        sample_rate=rate,
        interim=False,
        model=model,
        grammar=grammar,
        phrases=phrases,
        translate=translate,
    )
    conversation = Conversation(house, options, recorded=True)
    await conversation.open()
    try:
        async with asyncio.TaskGroup() as group:
            collecting = group.create_task(_collected(conversation))
            await _fed(conversation, mono, round(BLOCK_SECONDS * rate))
        finals = collecting.result()
    finally:
        conversation.close()
    if conversation.failure is not None:
        raise conversation.failure
    spoken = _found(finals) if language == AUTO else language
    return Recording(finals, mono.size / rate, spoken, conversation.info.name)


def _found(finals: tuple[Final, ...]) -> str:
    """The language most of the speech is in."""
    seconds: dict[str, Seconds] = defaultdict(float)
    for final in finals:
        if final.language and final.words:
            seconds[final.language] += final.speech_end - final.start
    return max(seconds, key=seconds.__getitem__, default=UNDETERMINED)


async def _fed(conversation: Conversation, mono: "np.ndarray[tuple[int], np.dtype[np.float32]]", block: int) -> None:
    for start in range(0, mono.size, block):
        if conversation.failure is not None:
            return
        conversation.command(Audio(mono[start : start + block].tobytes()))
        await conversation.pace()
        await asyncio.sleep(0)
    conversation.command(Finish())


async def _collected(conversation: Conversation) -> tuple[Final, ...]:
    finals: list[Final] = []
    while not (conversation.done or conversation.failure):
        finals.extend(event for event in await conversation.outbox.take() if isinstance(event, Final))
    finals.extend(event for event in await conversation.outbox.take() if isinstance(event, Final))
    return tuple(finals)
