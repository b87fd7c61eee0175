"""`voxfleet ps`: the gateways and workers of a fleet, once or every second."""

import asyncio
import json
import sys
from typing import TYPE_CHECKING

from voxfleet.cli import exits
from voxfleet.cli.terminal import console, print_json
from voxfleet.client import ConnectionFailed, RemoteError
from voxfleet.client.fleet import Operator
from voxfleet.wire.fleet import Fleet, plain

if TYPE_CHECKING:
    from rich.console import Console

EVERY = 1.0
"""Seconds between two looks."""
FRAME = 12
"""Lines of a watched screen that are neither gateways, workers nor events, at most."""


async def ps(url: str, *, as_json: bool, watch: bool) -> int:
    """Show the fleet; with `watch` until Ctrl-C. Raises ConnectionFailed where there is no server to begin with."""
    operator = Operator(url)
    try:
        fleet = await operator.fleet()
        if not watch:
            _show(fleet, as_json=as_json)
        else:
            await _watch(operator, fleet, as_json=as_json)
    except (KeyboardInterrupt, asyncio.CancelledError):
        if not watch:
            raise
    finally:
        operator.close()
    return exits.OK


def _show(fleet: Fleet, *, as_json: bool) -> None:
    if as_json:
        print_json(plain(fleet))
        return
    from voxfleet.cli.ps_view import picture

    screen = console()
    screen.print(picture(fleet, screen.width))


async def _watch(operator: Operator, fleet: Fleet, *, as_json: bool) -> None:
    """On a terminal one picture that changes; elsewhere one after another, or one line of JSON each."""
    screen = console()
    if as_json or not screen.is_terminal:
        while True:
            if as_json:
                sys.stdout.write(json.dumps(plain(fleet), ensure_ascii=False) + "\n")
                sys.stdout.flush()
            else:
                _show(fleet, as_json=False)
            await asyncio.sleep(EVERY)
            fleet = await operator.fleet()
    await _live(operator, fleet, screen)


async def _live(operator: Operator, fleet: Fleet, screen: "Console") -> None:
    from rich.live import Live

    from voxfleet.cli.ps_view import picture

    trouble = ""
    with Live(console=screen, screen=True, auto_refresh=False) as live:
        while True:
            room = screen.height - len(fleet.gateways) - len(fleet.workers) - FRAME
            live.update(picture(fleet, screen.width, events=room, trouble=trouble), refresh=True)
            await asyncio.sleep(EVERY)
            try:
                fleet, trouble = await operator.fleet(), ""
            except (ConnectionFailed, RemoteError) as error:  # gateways come and go while one watches
                trouble = f"{error}; this is what was known before"
