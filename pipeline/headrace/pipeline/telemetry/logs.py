"""Log lines of one process: structlog's and the standard library's through one pipeline.

Everything ends at the root logger's handlers, so that librdkafka (`headrace.kafka`), third
parties and job handlers that use `logging` look like our own lines. Fields that are bound with
`structlog.contextvars` (job, attempt, lane …) are on each line of that thread or task.

`configure` belongs to processes, not to libraries: a service that only publishes keeps its own
logging, and code that it imports logs through the standard library alone.
"""

import logging
import sys
from collections.abc import Sequence
from typing import Any, Final, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from headrace.pipeline.settings import LogFormat, LogSettings
from headrace.pipeline.telemetry.log_file import open_log_file
from headrace.pipeline.telemetry.log_lines import mask_secrets, render_json, render_text

_OURS: Final = "headrace."
"""Prefix of our handlers' names: reconfiguring replaces them and leaves others alone."""
_SILENT: Final = (
    "no log lines will be written: HEADRACE_LOG_CONSOLE_ENABLED and HEADRACE_LOG_FILE_ENABLED are "
    "both off"
)


def configure(
    settings: LogSettings, *, role: str, more: Sequence[Processor] = (), **bound: Any
) -> None:
    """Send this process's log lines where the settings say. May be called again.

    Call it before the user's pipeline is imported (a later `logging.basicConfig` then does
    nothing), and bind loggers after it: a bound logger keeps the level that it was made with.

    Args:
        settings: Level, form and places.
        role: What the process is (worker, scheduler …): on each line, and in the file's name.
        more: Further processors, such as one that adds the ids of a span.
        bound: Further fields for each line, such as `process=2`.

    Raises:
        SettingsError: The log file cannot be written.
    """
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared = _shared_processors({"role": role, **bound}, more)
    root = logging.getLogger()
    _remove_ours(root)  # first, since an open log file is locked against a second opening
    for handler in _handlers(settings, role, shared):
        root.addHandler(handler)
    root.setLevel(level)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str, **bound: Any) -> FilteringBoundLogger:
    """Give a logger with fields bound. A line below the level costs 0.1 µs."""
    return cast("FilteringBoundLogger", structlog.get_logger(name).bind(**bound))


def _shared_processors(fixed: dict[str, Any], more: Sequence[Processor]) -> list[Processor]:
    def add_fixed(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
        for name, value in fixed.items():
            line.setdefault(name, value)
        return line

    return [
        structlog.contextvars.merge_contextvars,
        add_fixed,
        *more,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]


def _handlers(
    settings: LogSettings, role: str, shared: Sequence[Processor]
) -> list[logging.Handler]:
    handlers: list[logging.Handler] = []
    if settings.log_console_enabled:
        handlers.append(_console(settings, shared))
    if settings.log_file_enabled:
        handler = open_log_file(settings, role)
        handler.set_name(f"{_OURS}file")
        handler.setFormatter(_formatter(settings.log_format, shared, colours=False))
        handlers.append(handler)
    if not handlers:
        _console(settings, shared).handle(
            logging.LogRecord("headrace.logs", logging.WARNING, "", 0, _SILENT, None, None)
        )
        silent = logging.NullHandler()  # without any handler, logging's last resort would write
        silent.set_name(f"{_OURS}none")
        handlers.append(silent)
    return handlers


def _console(settings: LogSettings, shared: Sequence[Processor]) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.set_name(f"{_OURS}console")
    colours = sys.stderr.isatty()
    handler.setFormatter(_formatter(settings.log_format, shared, colours=colours))
    return handler


def _formatter(
    log_format: LogFormat, shared: Sequence[Processor], *, colours: bool
) -> logging.Formatter:
    render = render_json if log_format is LogFormat.JSON else render_text(colours=colours)
    return structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        foreign_pre_chain=shared,
    )


def _remove_ours(root: logging.Logger) -> None:
    for handler in [*root.handlers]:
        if (handler.get_name() or "").startswith(_OURS):
            root.removeHandler(handler)
            handler.close()
