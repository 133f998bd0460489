"""The life of a long-running process: parts begin, a signal or an end comes, all end together."""

import os
import signal
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

import structlog

from headrace.console.process.part import Part
from headrace.console.process.signals import Inbox

_LOG = structlog.get_logger("headrace.process")
_LOOK: Final = 1.0
"""Seconds between looks at the parent."""
LAST_WORDS: Final = timedelta(seconds=5)
"""After a second signal: for giving partitions back, so that others need not wait for a session
to time out. Then the process ends whatever hangs."""

Exit = Callable[[int], None]


def live(
    parts: Sequence[Part[Any]],
    inbox: Inbox,
    *,
    parent: int | None = None,
    exit_now: Exit = os._exit,
) -> int:
    """Run the parts until a signal comes or one of them ends. In the main thread.

    The first SIGTERM or SIGINT drains, the second gives back what runs, the third ends at once.

    Args:
        parts: What to run. When one ends, the others are stopped.
        inbox: Listens already.
        parent: Pid of the supervisor, whose death is taken as a signal; None when there is none.
        exit_now: Ends the process without any clean-up.

    Returns:
        The exit code: the first part's that is not 0, else 0.
    """
    for part in parts:
        part.start(inbox.wake)
    signals = 0
    while any(part.alive for part in parts):
        came = inbox.wait(LAST_WORDS.total_seconds() if signals > 1 else _LOOK)
        if came is None and signals > 1 and any(part.alive for part in parts):
            exit_now(128 + signal.SIGTERM)
        if came is None and parent is not None and os.getppid() != parent:
            _LOG.warning("the supervisor is gone: stopping", supervisor=parent)
            came, parent = signal.SIGTERM, None
        if came is not None:
            signals += 1
            _stop(parts, came, signals, exit_now)
        elif not all(part.alive for part in parts):
            for part in parts:
                part.stop()
    return next((part.exit_code for part in parts if part.exit_code), 0)


def _stop(parts: Sequence[Part[Any]], came: signal.Signals, signals: int, exit_now: Exit) -> None:
    match signals:
        case 1:
            _LOG.info("stopping: running jobs may end; a second signal stops at once", by=came.name)
        case 2:
            _LOG.warning("stopping at once: running jobs are given back", by=came.name)
        case _:
            exit_now(128 + came)
    for part in parts:
        part.stop(at_once=signals > 1)
