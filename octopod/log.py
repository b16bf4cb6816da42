"""Structured logs on stderr: for people on a terminal, JSON otherwise. Values of secrets are never handed to it."""

import logging
import sys

import structlog

log = structlog.get_logger()


def _printable(_: object, __: str, event: dict[str, object]) -> dict[str, object]:
    """What strangers send must not move the cursor."""
    return {
        name: repr(text)[1:-1] if isinstance(text, str) and not text.isprintable() else text
        for name, text in event.items()
    }


def configure() -> None:
    terminal = sys.stderr.isatty()
    # Without the local variables of each frame: they hold everything that must not be logged.
    traceback = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
            *([_printable] if terminal else [traceback]),
            plain if terminal else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
