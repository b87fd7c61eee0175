"""Print docs/protocol.md, made from the types of voxfleet.wire.native: the page can't disagree with the code."""

import inspect
from typing import Any, get_args

from voxfleet import errors
from voxfleet.wire import native

INTRODUCTION = """\
# The native stream protocol

*Made from `src/voxfleet/wire/native.py` by `make docs`; the same facts as JSON Schema are served at `/v1/schema`.*

`GET /v1/stream` is a WebSocket. Binary frames carry audio, text frames carry one JSON message each, told apart by `type`.
Times are seconds of stream time: zero is the first sample the caller sent. Send audio in frames of 20 to 200 ms (100 ms is
kind to everybody); frames may be cut anywhere. A caller in real time is never slowed down; one that is faster is slowed
down by the connection itself, at `limits.max_ahead` seconds of unrecognised audio.

A call: connect, read `ready`, send audio, read `partial` and `final` messages, send `finish`, read the remaining finals and
`done`. A newer `partial` replaces the older one of its channel. A `final` never changes, comes exactly once, and finals come
in the order in which their turns ended.
"""

RESUMING = """\
## Resuming a stream

A stream outlives its connection. Its tokens (in `ready`, every `ack` and `reconnect`) say how far it is settled; they are
signed, hold no words and no audio, and expire (`gateway.resume_seconds`). Streams of containers have none.

1. Keep the newest `token`, and the audio sent since the `resume_from` that came with it (of `ready`: since the start).
   Whatever was sent between the audio (`flush`, `configure`, `finish`) keeps its place in it.
2. When the connection breaks, or ends with `engine_lost`, `engine_failed` or `draining`, connect to any gateway with the same
   query and `resume=<token>`. On `reconnect` do so too, while the old connection still works.
3. Send everything again from the `resumed_from` of the new `ready` on; it may come faster than real time. Flushes are
   sent again even where they were answered: they end a turn where they did before, and each is answered again.
4. Turns keep their numbers. A final whose channel and turn you have is the one you have: leave it out, and partials of that
   turn with it. Totals in `done` are those of the whole stream.

`resume_refused` means that the token is of no use: begin a new stream. The Python client (`voxfleet.client.connect`) does all
of this by itself.
"""


def main() -> None:
    schema = native.schema()["$defs"]
    print(INTRODUCTION)
    print("## Query parameters\n\n| name | meaning |\n|---|---|")
    for name, meaning in native.QUERY.items():
        print(f"| `{name}` | {meaning} |")
    print("\nUnknown parameters are refused by name.\n")
    print(RESUMING)
    _messages("Client to server", get_args(native.ClientMessage), schema)
    _messages("Server to client", get_args(native.ServerMessage), schema)
    _errors()


def _messages(title: str, kinds: tuple[Any, ...], schema: dict[str, Any]) -> None:
    print(f"## {title}\n")
    for kind in kinds:
        definition = schema[kind.__name__]
        tag = definition["properties"]["type"]["enum"][0]
        print(f"### `{tag}`\n\n{inspect.cleandoc(kind.__doc__)}\n")
        fields = {name: field for name, field in definition["properties"].items() if name != "type"}
        if not fields:
            continue
        print("| field | type | |\n|---|---|---|")
        for name, field in fields.items():
            required = "" if name in definition.get("required", ()) else "optional"
            print(f"| `{name}` | {_type(field)} | {_note(field, required)} |")
        print()
        for name, field in fields.items():
            for part in (field, field.get("items", {}), *field.get("anyOf", ())):
                part = part.get("items", part)
                if "$ref" in part:
                    _nested(name, schema[part["$ref"].rpartition("/")[2]])


def _nested(name: str, definition: dict[str, Any]) -> None:
    required = definition.get("required", ())
    inside = ", ".join(
        f"`{field}` ({_type(value)}{'' if field in required else ', optional'})"
        for field, value in definition["properties"].items()
    )
    print(f"Each of `{name}`: {inside}.\n")


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(part) for part in field["anyOf"])
    if "$ref" in field:
        return "object"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}s"
    return str(field.get("type", "any"))


def _note(field: dict[str, Any], required: str) -> str:
    bounds = [
        f"from {field['minimum']}" if "minimum" in field else "",
        f"to {field['maximum']}" if "maximum" in field else "",
    ]
    return ", ".join(part for part in (required, field.get("description", ""), " ".join(filter(None, bounds))) if part)


def _errors() -> None:
    print("## Errors\n")
    print(
        "An `error` message says what happened; the connection is then closed with the code below. `retryable` errors may\n"
        "succeed when tried again, after `retry_after` seconds where that is given. Refusals come the same way: the\n"
        "connection opens, says `error`, and closes.\n"
    )
    print("| code | close | HTTP | retryable | meaning |\n|---|---|---|---|---|")
    kinds: list[type[errors.VoxfleetError]] = [errors.CallerError, errors.CapacityError, errors.EngineError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    for kind in kinds:
        if "code" in kind.__dict__:
            meaning = inspect.cleandoc(kind.__doc__ or "").split("\n")[0]
            print(
                f"| `{kind.code}` | {kind.close_code} | {kind.http_status} | {'yes' if kind.retryable else 'no'} | {meaning} |"
            )


if __name__ == "__main__":
    main()
