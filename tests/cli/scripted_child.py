"""A child process that does what a test tells it: one list of steps for each life, the last one for all later ones.

Steps: {"say": words} · {"write": text} · {"flood": characters} · {"sleep": seconds} · {"beat": seconds} ·
{"hold": seconds}, a process of its own that keeps our standard output · {"on_term": exit code} · {"exit": code}.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    resolved = json.loads(os.environ["VOXFLEET_RESOLVED"])
    lives = Path(resolved["lives"])
    number = len(lives.read_text().split()) if lives.exists() else 0
    with lives.open("a") as file:
        file.write(f"{time.monotonic()}\n")
    scripts = resolved["scripts"]
    for step in scripts[min(number, len(scripts) - 1)]:
        ((verb, what),) = step.items()
        act(verb, what)


def act(verb: str, what: Any) -> None:
    match verb:
        case "say":
            print(json.dumps(what), flush=True)
        case "write":
            print(what, end="", flush=True)
        case "flood":
            print("x" * what, flush=True)
        case "sleep":
            time.sleep(what)
        case "beat":
            for beat in range(round(what / 0.1)):
                print(json.dumps({"beat": beat}), flush=True)
                time.sleep(0.1)
        case "hold":
            subprocess.Popen(["sleep", str(what)], stdin=subprocess.DEVNULL, start_new_session=True)
        case "on_term":
            signal.signal(signal.SIGTERM, lambda *_: os._exit(what))
        case "exit":
            sys.exit(what)
        case _:
            raise ValueError(verb)


if __name__ == "__main__":
    main()
