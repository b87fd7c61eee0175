"""What a recogniser says that nobody said: nonsense it is known to make of silence and noise, found and cut off.

Measured by others: Whisper puts words into 44 to 100 % of clips without speech, and repeats itself when its audio is cut
short. Every rule here is a pure function of one transcript.
"""

import zlib
from collections.abc import Sequence

from voxfleet.engines.windowed.policy import Policy
from voxfleet.engines.windowed.transcriber import Spelled, Transcript
from voxfleet.speech import Seconds

LONGEST_LOOP = 8
"""Words of a phrase that is found to follow itself."""
SHORT_LOOP = 8
"""Repeated words that people may well say: 'no no no no', the noughts of an account number."""
SHORT_TEXT = 60
"""Bytes below which a text's compression says nothing: zlib's own header weighs too much."""
BARE = ".,!?;:…。！？、，'\"-–— "


def credible(transcript: Transcript, seconds: Seconds, policy: Policy) -> tuple[Spelled, ...] | None:
    """The words of a transcript of so many seconds of audio that can be believed: none where nobody speaks; None where it
    is nonsense as a whole."""
    if transcript.no_speech > policy.no_speech and transcript.log_probability < policy.log_probability:
        return ()
    words = within(transcript.words, policy.most_tokens(seconds))
    words = without_loop(words, policy.repeats)
    return None if compression(words) > policy.compression else words


def within(words: Sequence[Spelled], most: int) -> tuple[Spelled, ...]:
    """The leading words that together have at most so many tokens; words whose tokens aren't known count as one each."""
    count = 0
    for index, word in enumerate(words):
        count += max(1, len(word.tokens))
        if count > most:
            return tuple(words[:index])
    return tuple(words)


def without_loop(words: Sequence[Spelled], repeats: int) -> tuple[Spelled, ...]:
    """The words up to where a phrase follows itself more than `repeats` times, with one of the repetitions kept."""
    spoken = [word.word.text.strip(BARE).casefold() for word in words]
    for length in range(1, min(LONGEST_LOOP, len(spoken) // 2) + 1):
        run = 0
        for index in range(length, len(spoken)):
            run = run + 1 if spoken[index] == spoken[index - length] else 0
            if run >= max(SHORT_LOOP, repeats * length):
                return tuple(words[: index - run + 1])
    return tuple(words)


def compression(words: Sequence[Spelled]) -> float:
    """How many times smaller zlib makes the text; 0 for a short one."""
    text = " ".join(word.word.text for word in words).encode()
    return len(text) / len(zlib.compress(text)) if len(text) >= SHORT_TEXT else 0.0
