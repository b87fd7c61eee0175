"""What a Whisper folder says about itself: one checked, frozen description, or an error that names file and key.

The layout is the one of `openai/whisper-*` on Hugging Face, which `transformers` reads and saves. Decoding is described
by generation_config.json; where that is missing, or says nothing of it, by config.json and the names of the tokens.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path

from voxfleet.engines.whisper import saved
from voxfleet.engines.whisper.languages import ENGLISH, WHISPER, codes, offered
from voxfleet.engines.whisper.tokens import Vocabulary
from voxfleet.errors import LanguageNotSupported, SettingsError
from voxfleet.speech import SAMPLE_RATE, bare_language

HOP = 160
"""Samples per mel frame; an encoder position covers two frames, 20 ms."""
Heads = tuple[tuple[int, int], ...]
"""(decoder layer, head) pairs."""

_GPT2_END = 50256
"""The end token of English-only models, whose vocabulary is that of GPT-2; multilingual ones have one word more."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a network; enough to build it, and to count its memory, without a file."""

    hidden: int
    encoder_layers: int
    decoder_layers: int
    encoder_heads: int
    decoder_heads: int
    encoder_ff: int
    decoder_ff: int
    mels: int
    vocabulary: int
    source: int = 1500
    """Encoder positions of a whole window, 20 ms each."""
    target: int = 448
    """Decoder positions: prompt, prefix and transcript together."""


@dataclass(frozen=True, slots=True)
class Special:
    """The tokens that are no text."""

    start: int
    """<|startoftranscript|>"""
    end: int
    """<|endoftext|>"""
    transcribe: int
    translate: int
    previous: int
    """<|startofprev|>: what follows was said before the window."""
    no_speech: int
    no_timestamps: int
    timestamps: int
    """<|0.00|>, the first of them; the others follow, 20 ms apart."""
    languages: Mapping[str, int]
    """Tokens by bare code; empty for English-only models."""
    suppressed: tuple[int, ...]
    """Never decoded."""
    suppressed_first: tuple[int, ...]
    """Not decoded as the first token of a transcript, on top of those never decoded."""

    def prefix(self, language: str, translate: bool) -> tuple[int, ...]:
        """What every transcript is made to begin with. English-only models know neither languages nor translation.

        Raises LanguageNotSupported.
        """
        if not self.languages:
            return self.start, self.no_timestamps
        heard = self.languages.get(bare_language(language))
        if heard is None:
            raise LanguageNotSupported(language, "Whisper", sorted(self.languages))
        return self.start, heard, self.translate if translate else self.transcribe, self.no_timestamps


@dataclass(frozen=True, slots=True)
class Layout:
    """A model folder that was found to be whole, but for the weights: those are checked as they are loaded."""

    folder: Path
    name: str
    """Of the folder."""
    shape: Shape
    special: Special
    alignment: Heads = ()
    """Heads whose attention follows the sound; empty = unknown."""
    alignment_by_language: Mapping[str, Heads] = field(default_factory=dict)

    @staticmethod
    def read(folder: Path) -> "Layout":
        """Raises SettingsError naming the file and key at fault."""
        if not folder.is_dir():
            raise SettingsError(f"there is no model folder {folder}")
        config = saved.config(folder)
        shape = _shape(folder / "config.json", config)
        _check_features(folder, shape)
        generation = saved.generation(folder)
        special = _special(folder, config, generation, shape)
        alignment = tuple((generation.alignment_heads if generation else None) or ())
        if any(layer >= shape.decoder_layers or head >= shape.decoder_heads for layer, head in alignment):
            alignment = ()  # distilled models carry the list of the model they come from
        by_language = _by_language(folder, shape)
        return Layout(folder, folder.resolve().name, shape, special, alignment, by_language)

    @property
    def tokenizer(self) -> Path:
        return self.folder / "tokenizer.json"

    def heads(self, language: str) -> Heads:
        """(decoder layer, head) whose attention follows the sound of this language; empty = unknown."""
        return self.alignment_by_language.get(bare_language(language), self.alignment)

    def languages(self) -> tuple[str, ...]:
        """Tags it hears; 'auto' last, where it can find the language out."""
        return offered(self.special.languages)

    def vocabulary(self) -> Vocabulary:
        """The letters of every token. Raises SettingsError if the file is broken or another network's."""
        return Vocabulary.read(self.tokenizer, self.shape.vocabulary, _silent(self.special))


def _silent(special: Special) -> Iterable[int]:
    named = (special.start, special.end, special.transcribe, special.translate, special.previous, special.no_speech)
    return (*named, special.no_timestamps, *special.languages.values())


def _shape(path: Path, config: saved.Config) -> Shape:
    for key, value, allowed in (
        ("activation_function", config.activation_function, "gelu"),
        ("scale_embedding", config.scale_embedding, False),
        ("tie_word_embeddings", config.tie_word_embeddings, True),
    ):
        if value != allowed:
            raise SettingsError(f"{path}: {key} is {value!r}; this engine computes only {allowed!r}")
    for key, heads in (
        ("encoder_attention_heads", config.encoder_attention_heads),
        ("decoder_attention_heads", config.decoder_attention_heads),
    ):
        if config.d_model % heads:
            raise SettingsError(f"{path}: d_model {config.d_model} must divide into {key} {heads}")
    if config.d_model % 2:
        raise SettingsError(f"{path}: d_model {config.d_model} must be even")
    return Shape(
        hidden=config.d_model,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        encoder_heads=config.encoder_attention_heads,
        decoder_heads=config.decoder_attention_heads,
        encoder_ff=config.encoder_ffn_dim,
        decoder_ff=config.decoder_ffn_dim,
        mels=config.num_mel_bins,
        vocabulary=config.vocab_size,
        source=config.max_source_positions,
        target=config.max_target_positions,
    )


def _check_features(folder: Path, shape: Shape) -> None:
    """All Whisper features are the same but for the mel bands, so a folder may leave them out."""
    found = saved.features(folder)
    if found is None:
        return
    path, features = found
    for key, value, allowed in (
        ("sampling_rate", features.sampling_rate, SAMPLE_RATE),
        ("hop_length", features.hop_length, HOP),
        ("n_fft", features.n_fft, 400),
        ("do_normalize", bool(features.do_normalize), False),
    ):
        if value != allowed:
            raise SettingsError(f"{path}: {key} is {value!r}; this engine computes only {allowed!r}")
    if features.feature_size != shape.mels:
        raise SettingsError(
            f"{path}: the features have {features.feature_size} mel bands (feature_size), but the encoder of "
            f"config.json hears {shape.mels} (num_mel_bins)"
        )


def _special(folder: Path, config: saved.Config, generation: saved.Generation | None, shape: Shape) -> Special:
    """Ids from generation_config.json and the names of the tokens, which must not contradict each other."""
    told = generation if generation is not None and generation.knows_whisper else saved.Generation()
    decoding: saved.Decoding = told if told is generation else config
    named = _named(folder)

    def token(name: str, given: int | None = None) -> int:
        found = named.get(name)
        if found is None and name == "<|nospeech|>":
            found = named.get("<|nocaptions|>")  # its first name
        if given is not None and found is not None and given != found:
            raise SettingsError(
                f"{folder}: {name} is token {found} in tokenizer.json but {given} in generation_config.json: one of "
                "the two belongs to another network"
            )
        one = given if found is None else found
        if one is None:
            raise SettingsError(f"{folder / 'tokenizer.json'} has no token {name}")
        if one >= shape.vocabulary:
            raise SettingsError(f"{folder}: {name} is token {one}, beyond vocab_size {shape.vocabulary} of config.json")
        return one

    end = token("<|endoftext|>")
    spelled = told.lang_to_id or {name: named[name] for name in map("<|{}|>".format, WHISPER) if name in named}
    known = {name: token(name, given) for name, given in spelled.items()}
    no_timestamps = token("<|notimestamps|>", told.no_timestamps_token_id)
    inside = range(shape.vocabulary)
    return Special(
        start=token("<|startoftranscript|>", told.decoder_start_token_id),
        end=end,
        transcribe=token("<|transcribe|>", told.task_to_id.get("transcribe")),
        translate=token("<|translate|>", told.task_to_id.get("translate")),
        previous=token("<|startofprev|>"),
        no_speech=token("<|nospeech|>"),
        no_timestamps=no_timestamps,
        timestamps=token("<|0.00|>", None if "<|0.00|>" in named else no_timestamps + 1),
        languages=codes(known) if _multilingual(told, config, end) else {},
        suppressed=tuple(sorted({one for one in decoding.suppress_tokens or () if one in inside})),
        suppressed_first=tuple(sorted({one for one in decoding.begin_suppress_tokens or () if one in inside})),
    )


def _named(folder: Path) -> Mapping[str, int]:
    """Ids of the tokens in <|...|>, whether the file counts them to the vocabulary or adds them to it."""
    file = saved.tokenizer(folder)
    pairs = [*file.model.vocab.items(), *((added.content, added.id) for added in file.added_tokens)]
    return {name: token for name, token in pairs if name.startswith("<|") and name.endswith("|>")}


def _multilingual(told: saved.Generation, config: saved.Config, end: int) -> bool:
    """English-only models have the tokens of all languages too, but were never taught to use them."""
    if told.is_multilingual is not None:
        return told.is_multilingual
    if told.lang_to_id:
        return True
    if config.forced_decoder_ids:
        return len(config.forced_decoder_ids) > 1  # language, task and <|notimestamps|>, or the last alone
    return end != _GPT2_END


def _by_language(folder: Path, shape: Shape) -> dict[str, Heads]:
    """Our own file is held to the shape: whoever writes one means this network."""
    found = saved.alignment(folder)
    for tag, heads in found.items():
        for layer, head in heads:
            if layer >= shape.decoder_layers or head >= shape.decoder_heads:
                raise SettingsError(
                    f"{folder / 'alignment_heads.json'}: '{tag}' names head [{layer}, {head}], but the decoder has "
                    f"{shape.decoder_layers} layers of {shape.decoder_heads} heads"
                )
    return {bare_language(tag): tuple(heads) for tag, heads in found.items()}


def _size(hidden: int, layers: Sequence[int], mels: int = 80, vocabulary: int = 51865) -> Shape:
    """A published network: heads of 64 and feed-forward layers four times as wide as the others."""
    heads = hidden // 64
    return Shape(hidden, layers[0], layers[1], heads, heads, 4 * hidden, 4 * hidden, mels, vocabulary)


SHAPES: Mapping[str, Shape] = {
    "tiny": _size(384, (4, 4)),
    "tiny.en": _size(384, (4, 4), vocabulary=51864),
    "base": _size(512, (6, 6)),
    "base.en": _size(512, (6, 6), vocabulary=51864),
    "small": _size(768, (12, 12)),
    "small.en": _size(768, (12, 12), vocabulary=51864),
    "medium": _size(1024, (24, 24)),
    "medium.en": _size(1024, (24, 24), vocabulary=51864),
    "large-v2": _size(1280, (32, 32)),
    "large-v3": _size(1280, (32, 32), 128, 51866),
    "large-v3-turbo": _size(1280, (32, 4), 128, 51866),
    "distil-large-v3": _size(1280, (32, 2), 128, 51866),
    "distil-medium.en": _size(1024, (24, 2), vocabulary=51864),
    "distil-small.en": _size(768, (12, 4), vocabulary=51864),
    "micro": Shape(64, 2, 2, 2, 2, 128, 128, 80, 2308),
}
"""Networks known by name, for measurements with random weights and for tests. 'micro' is nobody's: 700 words."""


def numbered(shape: Shape, multilingual: bool) -> Special:
    """The special tokens in the order of the published models: behind the words, the timestamps last.

    99 languages; the family of large-v3, known by its 128 mel bands, has 100.
    """
    languages = WHISPER if shape.mels == 128 else WHISPER[:-1]
    end = shape.vocabulary - 1501 - 8 - len(languages)
    start, first = end + 1, end + 2
    translate = first + len(languages)
    transcribe, lm, previous, no_speech, no_timestamps, timestamps = range(translate + 1, translate + 7)
    known = codes({language: first + place for place, language in enumerate(languages)}) if multilingual else {}
    return Special(
        start, end, transcribe, translate, previous, no_speech, no_timestamps, timestamps, known,
        suppressed=(start, translate, transcribe, lm, previous, no_speech), suppressed_first=(32, end),
    )  # fmt: skip


def random_layout(name: str) -> tuple[Shape, Special, Vocabulary]:
    """A network by its name in SHAPES, without a file; its words are made up: the bytes, then 'bababa', 'bababe' …

    Raises KeyError for an unknown name.
    """
    shape = SHAPES[name]
    special = numbered(shape, not name.endswith(f".{ENGLISH}"))
    letters = [bytes([value]) for value in range(256)]
    made_up = product("bdfgklmnprstvz", "aeiou", "bdglmnrst", "aeiou", "bdglmnrst", "aeiou")
    words = (f" {''.join(word)}".encode() for word in islice(made_up, special.end - 256))
    return shape, special, Vocabulary((*letters, *words), tuple(range(special.end, shape.vocabulary)))
