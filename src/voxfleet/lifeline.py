"""What ties a child process to its parent: it ends when the parent does, however that ends, and can tell it things.

The parent gives the child a pipe as standard input and holds the other end open; when the parent is gone, even by
SIGKILL, the pipe ends and the child is told. What the child tells are lines of JSON on standard output. Works wherever
pipes do.
"""

import json
import os
import select
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

STDOUT = 1


def end_with_parent() -> None:
    """From now on this process gets SIGTERM when its standard input ends."""
    threading.Thread(target=_watch, name="lifeline", daemon=True).start()


def _watch() -> None:
    while os.read(0, 4_096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def say(words: Mapping[str, Any]) -> None:
    """One line to the parent. A parent that is stopped or gone must not stop us too: it misses the line."""
    with suppress(OSError):
        if select.select([], [STDOUT], [], 0)[1]:
            os.write(STDOUT, json.dumps(words).encode() + b"\n")
