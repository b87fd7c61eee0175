"""Which languages Whisper hears, under the codes callers use: its own differ for Norwegian and Javanese.

A code here is what `speech.bare_language` makes of a caller's tag ('nb' of 'no', 'he' of 'iw', 'ro' of 'mo-MD').
"""

from collections.abc import Mapping

from voxfleet.speech import AUTO, bare_language

ENGLISH = "en"
_WHISPER = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi "
    "ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd "
    "gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue"
)
WHISPER = tuple(_WHISPER.split())
"""Whisper's own codes, in the order of their tokens. The last, Cantonese, came with large-v3."""

JOINED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Written without spaces between words."""


def of_token(spelled: str) -> str:
    """The bare code of a language token, or of a code of Whisper's own: 'nb' of '<|no|>', 'jv' of 'jw'."""
    return bare_language(spelled.removeprefix("<|").removesuffix("|>"))


def codes(tokens: Mapping[str, int]) -> Mapping[str, int]:
    """Tokens by bare code, of tokens by Whisper's spelling ('<|no|>' or 'no')."""
    return {of_token(spelled): token for spelled, token in tokens.items()}


def offered(known: Mapping[str, int]) -> tuple[str, ...]:
    """What a model with these languages says it hears: their codes, and 'auto'; older codes mean the same (`hears`).

    A model without a choice of languages hears English.
    """
    if not known:
        return (ENGLISH,)
    return (*sorted(known), AUTO)
