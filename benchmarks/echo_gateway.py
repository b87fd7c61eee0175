"""The floor: the gateway's own server and socket, and nothing behind it but a counter.

Every half second of audio is answered by one small JSON text, as a recogniser would. What the gateway costs beyond this
is Voxfleet's; what this costs is uvicorn's, websockets' and the kernel's.
"""

import asyncio
import json
import os
import sys

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from voxfleet import lifeline
from voxfleet import settings as settings_module
from voxfleet.clock import SystemClock
from voxfleet.gateway.live import LiveCalls
from voxfleet.gateway.server import listen, server
from voxfleet.telemetry.metrics import GatewayMetrics

BYTES_PER_SECOND = 32_000
ANSWER_EVERY = 16_000
"""Bytes: half a second."""


async def stream(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text('{"type":"ready"}')
    received = answered = 0
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        received += len(message.get("bytes") or b"")
        if received - answered >= ANSWER_EVERY:
            answered = received
            await socket.send_text(json.dumps({"type": "partial", "end": received / BYTES_PER_SECOND, "turn": 0}))


async def ready(_request: Request) -> Response:
    return PlainTextResponse("ready\n")


async def metrics(_request: Request) -> Response:
    return PlainTextResponse("voxfleet_vad_cpu_seconds 0\n")


def main() -> int:
    resolved = json.loads(os.environ["VOXFLEET_RESOLVED"])
    settings = settings_module.from_dict(resolved["settings"])
    lifeline.end_with_parent()
    listener = listen(settings.gateway)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    app = Starlette(routes=[WebSocketRoute("/v1/stream", stream), Route("/readyz", ready), Route("/metrics", metrics)])
    live = LiveCalls(GatewayMetrics(), SystemClock())
    running = server(app, live, settings.gateway)

    async def serve() -> None:
        serving = asyncio.create_task(running.serve(sockets=[listener]))
        while not running.started:
            await asyncio.sleep(0.01)
        print(json.dumps({"ready": True}), flush=True)
        await serving

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
