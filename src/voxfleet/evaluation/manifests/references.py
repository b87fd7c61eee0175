"""References kept beside a manifest: which segments of an STM, CTM, RTTM or SegLST file belong to which item."""

import dataclasses
from pathlib import Path

from voxfleet.evaluation.faults import BadManifest
from voxfleet.evaluation.manifests.items import Item, Manifest, Segment
from voxfleet.evaluation.manifests.segments import SUFFIXES, read_sessions, text_of


def attach_references(manifest: Manifest, path: Path | str) -> Manifest:
    """The manifest with the file's segments in its items; where they have text, it becomes the items' reference.

    Items the file does not mention stay as they are, sessions no item belongs to are left out; unreadable lines join
    the manifest's `bad`. Raises BadManifest for a file of another kind, an empty one, or one of which no session is
    an item's; MissingExtra.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise BadManifest(path, "references are read from .stm, .ctm, .rttm and SegLST (.json, .seglst) files")
    sessions = read_sessions(path)
    found = [(item, sessions.of(item)) for item in manifest.items]
    if all(segments is None for _, segments in found):
        some = ", ".join(list(sessions.spoken)[:3])
        raise BadManifest(path, f"none of its sessions ({some}, …) is named like an item of {manifest.path.name}")
    items = tuple(item if segments is None else _with(item, segments) for item, segments in found)
    return dataclasses.replace(manifest, items=items, bad=manifest.bad + sessions.bad)


def _with(item: Item, segments: tuple[Segment, ...]) -> Item:
    told = any(segment.text is not None for segment in segments)
    reference = text_of(segments) or None if told else item.reference
    return dataclasses.replace(item, segments=segments, reference=reference)
