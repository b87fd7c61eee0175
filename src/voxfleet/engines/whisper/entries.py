"""What the decoder is given of a window: the tokens it is made to begin with, the draft it may take over, and how far it may go.

    <|startofprev|> prompt… <|startoftranscript|> <|en|> <|transcribe|> <|notimestamps|>  prefix…  draft…
    ╰──────────────────────────────── head ────────────────────────────────────────────╯

What doesn't fit into the decoder's positions is cut off the beginning of the prompt.
"""

from dataclasses import dataclass

from voxfleet.engines.whisper.layout import Shape, Special
from voxfleet.engines.windowed.policy import USUAL
from voxfleet.engines.windowed.transcriber import Window
from voxfleet.errors import EngineFailed
from voxfleet.speech import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Entry:
    """A window as the decoder sees it."""

    head: tuple[int, ...]
    start: int
    """Where <|startoftranscript|> lies in the head."""
    prefix: tuple[int, ...]
    draft: tuple[int, ...]
    limit: int
    """Tokens of all this and the transcript at most."""
    forced: tuple[int, ...] = ()
    """For measurements: what is decoded after the prefix, whatever the network says."""

    @property
    def begin(self) -> int:
        """Where the transcript begins."""
        return len(self.head)

    @property
    def body(self) -> tuple[int, ...]:
        return self.prefix + self.draft

    @property
    def length(self) -> int:
        """Tokens of the pass that begins it."""
        return len(self.head) + len(self.prefix) + len(self.draft)


def entry_of(window: Window, language: str, shape: Shape, special: Special, forced: tuple[int, ...] = ()) -> Entry:
    """A transcript is stopped where it has more tokens than anybody can say (`Policy.most_tokens`).

    Raises EngineFailed where a prefix leaves no room, LanguageNotSupported.
    """
    forced_start = special.prefix(language, window.translate)
    most = USUAL.most_tokens(len(window.samples) / SAMPLE_RATE)
    if forced:
        most = max(most, len(window.prefix) + len(forced))
    most = max(min(most, shape.target // 2), len(window.prefix) + 1)
    room = shape.target - len(forced_start) - most
    if room < 0:
        raise EngineFailed(f"a prefix of {len(window.prefix)} tokens leaves no room to decode in {shape.target}")
    said = tuple(token for token in window.prompt if 0 <= token < special.end)
    said = said[len(said) - max(0, min(len(said), shape.target // 2 - 1, room - 1)) :]
    head = (special.previous, *said, *forced_start) if said else forced_start
    limit = len(head) + most
    draft = _usable(window.draft, special)[: limit - len(head) - len(window.prefix) - 1]
    return Entry(head, len(head) - len(forced_start), window.prefix, draft, limit, forced)


def _usable(draft: tuple[int, ...], special: Special) -> tuple[int, ...]:
    """A draft up to the first token that is no text."""
    stop = next((place for place, token in enumerate(draft) if not 0 <= token < special.end), len(draft))
    return draft[:stop]
