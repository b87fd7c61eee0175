"""How a windowed engine decides: what settles a word, where a window is cut, what is taken for nonsense. One frozen value."""

from collections.abc import Sequence
from dataclasses import dataclass

from voxfleet.errors import SettingsError
from voxfleet.speech import Seconds

POLICIES = ("agreement", "attention")


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of `windowed/`; the defaults are for Whisper."""

    agreement: int = 2
    """LocalAgreement-n: decodes in a row that must say the same word before it settles (Polak et al. 2020; n = 2 in
    whisper_streaming)."""
    attention: Seconds = 0.0
    """AlignAtt (Papi et al. 2023): a word settles at once when all its tokens attended at least so far before the end
    of the audio; 0 = agreement alone. Where attention isn't known, agreement decides."""
    trim_seconds: Seconds = 15.0
    """A window longer than this is cut after the last settled sentence in it."""
    recent_seconds: Seconds = 2.0
    """What is younger than this is never cut off; where nothing settled in a full window, all but this settles."""
    prompt_tokens: int = 64
    """Most tokens of what was cut off that are shown to the next decode; 0 = none."""
    prompt_pause: Seconds = 2.0
    """After a pause of this length what was said before is not shown: loops feed themselves."""
    silence_dbfs: float = -60.0
    """A frame of 20 ms whose mean square is below this holds no speech."""
    margin: Seconds = 0.3
    """Of the silence before the first and after the last sound that is decoded with it."""
    least_seconds: Seconds = 0.4
    """Of sound before anything is decoded while a turn goes on; a final decode wants a quarter of it."""
    no_speech: float = 0.6
    """A transcript is dropped where nobody speaks with more than this probability, and"""
    log_probability: float = -1.0
    """its tokens have less than this mean log probability (the two thresholds of Radford et al. 2022)."""
    compression: float = 2.4
    """A transcript whose text zlib shrinks by more than this factor repeats itself: it is dropped."""
    repeats: int = 3
    """Times that words may follow themselves; beyond, the rest is cut off."""
    tokens_per_second: float = 20.0
    """Most tokens per second of audio a transcript may have, beside"""
    tokens_at_least: int = 20
    """so many. People say five to seven a second in English; some languages need a token for every letter."""

    def most_tokens(self, seconds: Seconds) -> int:
        """The most tokens that a transcript of so much audio can honestly have."""
        return self.tokens_at_least + int(self.tokens_per_second * seconds)


USUAL = Policy()
"""What is decided where nothing else is asked for."""


def rise_and_meet(cadences: Sequence[int]) -> bool:
    """Whether these cadences (ms) rise, and each divides the last: they all meet where words settle."""
    return list(cadences) == sorted(set(cadences)) and all(each > 0 and cadences[-1] % each == 0 for each in cadences)


def policy_named(name: str, attention: Seconds = 0.5) -> Policy:
    """Agreement, or attention with so many seconds. Raises SettingsError for another name."""
    if name not in POLICIES:
        raise SettingsError(f"policy '{name}' is unknown; known: {', '.join(POLICIES)}")
    return Policy(attention=attention) if name == "attention" else USUAL
