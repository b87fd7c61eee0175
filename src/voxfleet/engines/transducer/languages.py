"""Which languages a model hears, and which of its language slots a caller's tag means.

A caller's tag is matched in this order: exactly; by another name of the same language ('mo', 'ro-MD' are Romanian); by
the language alone ('de-AT' is heard as 'de-DE', 'ro' as 'ro-RO').
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from voxfleet.errors import LanguageNotSupported
from voxfleet.speech import AUTO, OTHER_NAMES

PUBLISHED = (
    "en-US en-GB es-US es-ES fr-FR fr-CA it-IT pt-BR pt-PT nl-NL de-DE tr-TR ru-RU ar-AR hi-IN ja-JP ko-KR vi-VN uk-UA "
    "pl-PL sv-SE cs-CZ nb-NO da-DK bg-BG fi-FI hr-HR sk-SK zh-CN hu-HU ro-RO et-EE "
    "el-GR lt-LT lv-LV mt-MT sl-SI he-IL th-TH nn-NO"
)
"""The forty locales of the model card of nemotron-3.5-asr-streaming-0.6b (June 2026): nineteen ready for transcription,
thirteen of broad coverage, eight that want fine-tuning. Its slots for other languages are not promised to work."""

_SLOTS = (
    "en-US=0 en=0 en-GB=1 enGB=1 es-ES=2 esES=2 es-US=3 es=3 zh-CN=4 zh-ZH=4 zh-TW=5 hi-IN=6 hi=6 hi-HI=6 ar-AR=7 ar=7 "
    "fr-FR=8 fr=8 de-DE=9 de=9 ja-JP=10 ja-JA=10 ru-RU=11 ru=11 pt-BR=12 pt-PT=13 pt=13 ko-KR=14 ko=14 ko-KO=14 it-IT=15 "
    "it=15 nl-NL=16 nl=16 pl-PL=17 pl=17 tr-TR=18 tr=18 uk-UA=19 uk=19 ro-RO=20 ro=20 el-GR=21 el=21 cs-CZ=22 cs=22 "
    "hu-HU=23 hu=23 sv-SE=24 sv=24 da-DK=25 da=25 fi-FI=26 fi=26 no-NO=27 no=27 nb-NO=103 nb=103 nn-NO=104 nn=104 "
    "sk-SK=28 sk=28 hr-HR=29 hr=29 bg-BG=30 bg=30 lt-LT=31 lt=31 et-EE=60 et=60 lv-LV=61 lv=61 sl-SI=62 sl=62 th-TH=32 "
    "vi-VN=33 id-ID=34 ms-MY=35 bn-IN=36 ur-PK=37 fa-IR=38 ta-IN=39 te-IN=40 mr-IN=41 gu-IN=42 kn-IN=43 ml-IN=44 "
    "si-LK=45 ne-NP=46 km-KH=47 sw-KE=48 am-ET=49 ha-NG=50 zu-ZA=51 yo-NG=52 ig-NG=53 af-ZA=54 rw-RW=55 so-SO=56 "
    "ny-MW=57 ln-CD=58 or-KE=59 he-IL=64 ku-TR=65 az-AZ=66 ka-GE=67 hy-AM=68 uz-UZ=69 tg-TJ=70 ky-KG=71 qu-PE=80 "
    "ay-BO=81 gn-PY=82 nah-MX=83 mi-NZ=96 haw-US=97 sm-WS=98 to-TO=99 fr-CA=100 mt-MT=102 auto=101"
)
DEFAULT_PROMPTS: Mapping[str, int] = {tag: int(slot) for tag, slot in (pair.split("=") for pair in _SLOTS.split())}
"""The slots of a prompted model whose processor names none, as `transformers` 5.23 has them."""


@dataclass(frozen=True, slots=True)
class Languages:
    """The languages of one model."""

    tags: tuple[str, ...]
    """BCP-47, as the model writes them, without 'auto'."""
    prompts: Mapping[str, int]
    """Slot by tag in lower case; of the languages in `tags` and of 'auto' only. Empty = the model takes no language."""

    @staticmethod
    def of(prompts: Mapping[str, int], named: Iterable[str] = (), default_prompt: int = 0) -> "Languages":
        """From a model's slots; from the tags its configuration names where it has none; English where it has neither.

        A model with all slots of the published one hears the forty it promises; any other hears what it names.
        """
        if not prompts:
            return Languages(tuple(named) or ("en-US",), {})
        promised = PUBLISHED.split()
        tags = tuple(sorted(promised if prompts.keys() >= set(promised) else _longest(prompts)))
        slots = {prompts[tag] for tag in tags}
        kept = {tag.lower(): slot for tag, slot in prompts.items() if slot in slots}
        return Languages(tags, kept | {AUTO: prompts.get(AUTO, default_prompt)})

    def tag(self, language: str, model: str = "this model") -> str:
        """The tag of this model, or 'auto', that a caller's tag means. Raises LanguageNotSupported."""
        asked = language.replace("_", "-").lower()
        if asked == AUTO:
            return AUTO
        base = asked.split("-")[0]
        renamed = OTHER_NAMES.get(base, base)
        for wanted in (asked, f"{renamed}{asked[len(base) :]}", base, renamed):
            found = self._exactly(wanted)
            if found:
                return found
        for tag in self.tags:
            if tag.lower().split("-")[0] in (base, renamed):
                return tag
        raise LanguageNotSupported(language, model, self.tags)

    def prompt(self, language: str, model: str = "this model") -> int:
        """The slot for a caller's tag, 0 where the model takes no language. Raises LanguageNotSupported."""
        return self.prompts.get(self.tag(language, model).lower(), 0)

    def _exactly(self, wanted: str) -> str:
        """The model's tag of this spelling or, since a slot can have several names, of the same slot."""
        for tag in self.tags:
            if tag.lower() == wanted:
                return tag
        slot = self.prompts.get(wanted)
        if slot is None:
            return ""
        return next((tag for tag in self.tags if self.prompts.get(tag.lower()) == slot), "")


def _longest(prompts: Mapping[str, int]) -> Iterable[str]:
    """One tag per slot: the one that names a region, if there is one, else the first."""
    chosen: dict[int, str] = {}
    for tag, slot in prompts.items():
        if tag != AUTO and ("-" in tag, -1) > ("-" in chosen.get(slot, ""), 0 if slot in chosen else -2):
            chosen[slot] = tag
    return chosen.values()
