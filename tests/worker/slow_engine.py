"""An engine that takes a minute to load."""

import sys
import time

from tests.fakes.fake_engine import FakeEngine


class SlowToLoad(FakeEngine):
    def __init__(self) -> None:
        print("loading_begins", file=sys.stderr, flush=True)
        time.sleep(60)
        super().__init__()
