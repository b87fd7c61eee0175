"""Kaldi's data folders: wav.scp, text, segments, utt2spk, utt2lang, reco2file_and_channel, each "key rest of line".

wav.scp may hold shell commands ("sox … |") and places in archives ("file.ark:17"): they are refused by name, never run.
"""

from collections.abc import Iterator
from pathlib import Path

from voxfleet.evaluation.faults import BadManifest
from voxfleet.evaluation.manifests.items import BadItem, Item
from voxfleet.evaluation.manifests.lines import numbered
from voxfleet.evaluation.manifests.rows import Place, Refused, channel_number, shown, stretch
from voxfleet.speech import Seconds


def read_folder(folder: Path, place: Place) -> Iterator[Item | BadItem]:
    """Every utterance of a data folder: those of `segments`, or without it the recordings. Raises BadManifest."""
    if not (folder / "wav.scp").is_file():
        raise BadManifest(folder, "it holds no wav.scp; a folder is read as one of Kaldi's")
    cut = (folder / "segments").is_file()
    tables = _Tables(folder)
    source = "segments" if cut else "wav.scp"
    seen = set()
    for number, line in numbered(folder / source):
        utterance, *rest = line.split(maxsplit=1)
        seen.add(utterance)
        try:
            yield tables.item(utterance, _stretch(rest) if cut else (utterance, 0.0, None), place)
        except Refused as refused:
            yield refused.at(f"{source} line {number}")
    yield from tables.doubled
    for utterance in tables.text:
        if utterance not in seen:
            yield BadItem(utterance, "missing_audio", f"it has a line in text, but none in {source}")


def keyed(path: Path) -> Iterator[tuple[str, str] | BadItem]:
    """(key, rest of the line, which may be empty) of every line; a key's second line is a BadItem."""
    seen = set()
    for number, line in numbered(path):
        key, *rest = line.strip().split(maxsplit=1)
        if key in seen:
            yield BadItem(f"{path.name} line {number}", "duplicate_id", f"{shown(key)} stands there a second time")
        else:
            seen.add(key)
            yield key, rest[0] if rest else ""


class _Tables:
    """What the files of a folder say of its utterances and recordings."""

    def __init__(self, folder: Path) -> None:
        self.doubled: list[BadItem] = []
        """Second lines of a key. Those of the file that lists the items are found again where items are collected."""
        self._recordings = self._table(folder / "wav.scp", count_doubled=(folder / "segments").is_file())
        self.text = self._table(folder / "text")
        self._speakers = self._table(folder / "utt2spk")
        self._languages = self._table(folder / "utt2lang")
        self._channels = self._table(folder / "reco2file_and_channel")

    def item(self, utterance: str, cut: tuple[str, Seconds, Seconds | None], place: Place) -> Item:
        """Raises Refused."""
        recording, start, end = cut
        if recording not in self._recordings:
            raise Refused("missing_audio", f"its recording {shown(recording)} is not in wav.scp")
        written = self._recordings[recording]
        if not written:
            raise Refused("bad_row", "it names no audio file")
        channel = channel_number(" ".join(self._channels.get(recording, "").split()[1:]))
        speaker = self._speakers.get(utterance)
        return Item(
            id=utterance,
            audio=place.audio(written),
            reference=self.text.get(utterance) or None,
            start=start,
            end=end,
            channel=channel,
            language=self._languages.get(utterance) or place.language,
            columns={"speaker": speaker} if speaker else {},
        )

    def _table(self, path: Path, *, count_doubled: bool = True) -> dict[str, str]:
        table = {}
        for line in keyed(path) if path.is_file() else ():
            if not isinstance(line, BadItem):
                table[line[0]] = line[1]
            elif count_doubled:
                self.doubled.append(line)
        return table


def _stretch(rest: list[str]) -> tuple[str, Seconds, Seconds | None]:
    """(recording, start, end) of a line of `segments`; an end of -1 is that of the recording. Raises Refused."""
    fields = rest[0].split() if rest else []
    if len(fields) not in (3, 4):  # the fourth is a channel, of Kaldi's first days
        raise Refused("bad_row", "a line of segments is: utterance, recording, start, end")
    to_the_end = fields[2].partition(".")[0] == "-1"
    return fields[0], *stretch(fields[1], "" if to_the_end else fields[2], "")
