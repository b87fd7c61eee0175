"""Exit codes: what a script may conclude from how a command ended."""

from voxfleet.errors import CallerError, CapacityError, EngineError, SettingsError, VoxfleetError, by_code

OK = 0
FAILED = 1
USAGE = 2
SETTINGS = 3
NO_SERVER = 4
REFUSED = 5
INVALID = 6
STUCK = 70
REPLACE = 75
INTERRUPTED = 130

MEANINGS = {
    OK: "everything asked for was done",
    FAILED: "the work failed, or part of it (a file, a check)",
    USAGE: "the command line is wrong",
    SETTINGS: "a setting is wrong; nothing was started",
    NO_SERVER: "no server answers, or it did not come up",
    REFUSED: "the server refused: no place free, or a limit of its own",
    INVALID: "a measurement was spoiled by the program that measures; its figures are not the server's",
    STUCK: "a worker alone: a step never ended",
    REPLACE: "a worker alone: drained, and to be started anew",
    INTERRUPTED: "stopped by Ctrl-C",
}


def code_of(error: VoxfleetError) -> int:
    """The exit code an error stands for."""
    if isinstance(error, SettingsError):
        return SETTINGS
    if error.code in ("bad_option", "bad_manifest", "bad_report"):
        return USAGE
    if error.code == "connection_failed":
        return NO_SERVER
    remote = getattr(error, "remote_code", None)
    if remote is not None:
        kind = by_code(remote)
        return REFUSED if kind is not None and issubclass(kind, CapacityError | CallerError) else FAILED
    if isinstance(error, CapacityError):
        return REFUSED
    return NO_SERVER if isinstance(error, EngineError) else FAILED


def code_of_many(codes: list[int]) -> int:
    """The exit code of several pieces of work: their common one, FAILED where they differ."""
    return OK if not codes else codes[0] if len(set(codes)) == 1 else FAILED
