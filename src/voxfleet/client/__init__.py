"""The way in for programs: our own server as an async Python library.

async with connect("ws://127.0.0.1:8765", StreamOptions(language="en")) as stream:
    await stream.send(pcm)            # bytes in the declared encoding
    await stream.finish()
    async for message in stream:      # wire.native messages: partials, finals, … and `done` last
        ...
"""

from voxfleet.client.connect import ConnectionFailed, RemoteError, Stream, connect
from voxfleet.wire.options import Encoding, StreamOptions
from voxfleet.wire.phrases import Phrase

__all__ = ["ConnectionFailed", "Encoding", "Phrase", "RemoteError", "Stream", "StreamOptions", "connect"]
