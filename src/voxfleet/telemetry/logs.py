"""How logs look: structured, one event a line, and never transcript text or audio.

Keys are allowed by name: an event that carries a key which could hold speech is a programming error, caught in tests by
`FORBIDDEN_KEYS` and removed in production.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from voxfleet.settings import TelemetrySettings

FORBIDDEN_KEYS = frozenset(
    {"text", "words", "word", "samples", "audio", "transcript", "hypothesis", "partial", "final"}
)


def configure(settings: TelemetrySettings, process: str) -> None:
    """Set up logging of this process, to standard error. `process` labels every line (gateway, worker name, …)."""
    level = getattr(logging, settings.log_level.upper(), logging.INFO)
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _label(process),
            without_speech,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(
        level=max(level, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s"
    )


def without_speech(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Remove what might be speech; the rule is enforced here, once, for every line."""
    for key in FORBIDDEN_KEYS & event.keys():
        event[key] = "removed"
    return event


def _label(process: str) -> Any:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("process", process)
        return event

    return add
