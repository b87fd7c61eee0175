"""A small model hub on the loopback interface: the parts of the Hugging Face API that a download asks for."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from safetensors.numpy import save

REPOSITORY = "nvidia/nemotron-3.5-asr-streaming-0.6b"
COMMIT = "4f2c9e1b7a3d5c8f0e6b1a2d3c4f5e6a7b8c9d0e"
WEIGHTS = "model.safetensors"
LARGE = 1_000_000
"""Bytes from which the hub keeps a file apart (LFS): its SHA-256 is known, and it comes from another address."""


@dataclass
class Hub:
    """What it serves and how it behaves; change it while it runs."""

    url: str = ""
    repository: str = REPOSITORY
    commit: str = COMMIT
    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    """The next transfers of the weights break off after so many bytes, one after the other."""
    stall: bool = False
    """A transfer that is cut does not end: it just goes on no more."""
    down: bool = False
    gated: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(path, Range header) of every request."""
    stalled: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)

    def ranges(self, name: str = WEIGHTS) -> list[str]:
        """The Range headers the content of a file was asked for with."""
        return [header for path, header in self.asked if path == f"/content/{name}"]


@contextmanager
def hub_of(files: dict[str, bytes]) -> Iterator[Hub]:
    """A hub with one repository that lives as long as the block."""
    hub = Hub(files=files)

    class Answers(_Answers):
        served = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Answers(BaseHTTPRequestHandler):
    served: Hub

    def do_GET(self) -> None:
        hub, path = self.served, unquote(urlsplit(self.path).path)
        hub.asked.append((path, self.headers.get("Range", "")))
        resolve = f"/{hub.repository}/resolve/"
        if hub.down:
            self._refuse(503, "")
        elif path.startswith(f"/api/models/{hub.repository}/revision/"):
            revision = path.rpartition("/")[2]
            if revision in ("main", hub.commit):
                self._answer(json.dumps(_description(hub)).encode())
            else:
                self._refuse(404, "RevisionNotFound")
        elif path.startswith("/api/models/"):
            self._refuse(401, "RepoNotFound")
        elif path.startswith(resolve) and hub.gated:
            self._refuse(403, "GatedRepo")
        elif path.startswith(resolve):
            self.send_response(302)
            self.send_header("Location", f"{hub.url}/content/{path.rpartition('/')[2]}")
            self.send_header("X-Repo-Commit", hub.commit)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path.startswith("/content/"):
            self._content(path.rpartition("/")[2])
        else:
            self._refuse(404, "EntryNotFound")

    def _content(self, name: str) -> None:
        hub, content = self.served, self.served.files[name]
        asked = self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.end_headers()
        end = len(content)
        if name == WEIGHTS and hub.cuts:
            end = start + hub.cuts.pop(0)
        self.wfile.write(content[start:end])
        if end < len(content):
            hub.stalled.set()
            if hub.stall:
                hub.closing.wait(30)
        self.close_connection = True

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Tests read `asked`."""


def _description(hub: Hub) -> dict[str, Any]:
    siblings = []
    for name, content in hub.files.items():
        one: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": git_id(content)}
        if len(content) >= LARGE:
            sha256 = hashlib.sha256(content).hexdigest()
            one |= {"blobId": "0" * 40, "lfs": {"sha256": sha256, "size": len(content), "pointerSize": 134}}
        siblings.append(one)
    return {
        "_id": "1",
        "id": hub.repository,
        "modelId": hub.repository,
        "sha": hub.commit,
        "siblings": siblings,
        "tags": [],
    }


def git_id(content: bytes) -> str:
    """The object id git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def tiny_model(weight_bytes: int = 24_000_000) -> dict[str, bytes]:
    """The files of a repository in the layout of the published models, with weights of noise, and what must not be fetched."""
    encoder = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
        "subsampling_conv_channels": 16, "num_mel_bins": 32, "sliding_window": 29,
    }  # fmt: skip
    config = {
        "model_type": "nemotron_asr_streaming", "vocab_size": 3, "blank_token_id": 2, "decoder_hidden_size": 24,
        "encoder_config": encoder,
    }  # fmt: skip
    processor = {"feature_extractor": {"feature_size": 32}, "supported_num_lookahead_tokens": [0, 1, 3, 6, 13]}
    vocabulary = {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}
    noise = np.random.default_rng(6).integers(0, 256, weight_bytes, np.uint8)
    return {
        "config.json": json.dumps(config).encode(),
        "processor_config.json": json.dumps(processor).encode(),
        "tokenizer.json": json.dumps(vocabulary).encode(),
        WEIGHTS: save({"noise": noise}),
        "LICENSE": b"do what you like\n",
        "README.md": b"# a model\n",
        "model.nemo": b"an archive with pickles",
        "pytorch_model.bin": b"a pickle",
        "modeling.py": b"print('never run')\n",
        "onnx/config.json": b"{}",
        "../outside.json": b"{}",
    }
