"""A child process ends with its parent, however the parent ends.

The parent gives the child a pipe as standard input and holds the other end open; when the parent is gone, even by
SIGKILL, the pipe ends and the child is told. Works wherever pipes do.
"""

import os
import signal
import threading


def end_with_parent() -> None:
    """From now on this process gets SIGTERM when its standard input ends."""
    threading.Thread(target=_watch, name="lifeline", daemon=True).start()


def _watch() -> None:
    while os.read(0, 4_096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
