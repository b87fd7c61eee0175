"""How a gateway refuses over HTTP, read back: {"error": {"code", "message"}}, as OpenAI's interface has it."""

import msgspec

from voxfleet.client.dial import RemoteError
from voxfleet.wire.native import ErrorMessage


class _Fault(msgspec.Struct):
    message: str = ""
    code: str | int | None = None


class _Refusal(msgspec.Struct):
    error: _Fault


def refused(status: int, retry_after: str | None, body: bytes) -> RemoteError:
    """The error of an answer with this status, its Retry-After header and its body."""
    try:
        fault = msgspec.json.decode(body, type=_Refusal).error
    except msgspec.DecodeError:
        said = body[:200].decode(errors="replace").strip()
        fault = _Fault(f"the server answered HTTP {status}" + (f": {said}" if said else ""))
    code = str(fault.code) if fault.code else f"http_{status}"
    wait = float(retry_after) if retry_after and retry_after.isdigit() else None
    sentence = fault.message or f"the server answered HTTP {status}"
    return RemoteError(ErrorMessage(code, sentence, status in (429, 503), wait))
