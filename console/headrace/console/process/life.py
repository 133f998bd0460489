"""The life of a long-running process: parts begin, a signal or an end comes, all end together."""

import math
import os
import signal
import time
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
    last_words: timedelta = LAST_WORDS,
) -> int:
    """Run the parts until a signal comes or one of them ends. In the main thread.

    The first SIGTERM or SIGINT drains, the second gives back what runs, the third ends at once.

    Args:
        parts: What to run. When one ends, the others are stopped.
        inbox: Listens already.
        parent: Pid of the supervisor, whose death is taken as a signal; None when there is none.
        exit_now: Ends the process without any clean-up.
        last_words: How long parts may take after the second signal.

    Returns:
        The exit code: the first part's that is not 0, else 0.
    """
    for part in parts:
        part.start(inbox.wake)
    signals, one_ended, deadline = 0, False, math.inf
    while any(part.alive for part in parts):
        came = inbox.wait(_LOOK)
        if time.monotonic() >= deadline:
            exit_now(128 + signal.SIGTERM)
        if came is None and parent is not None and os.getppid() != parent:
            _LOG.warning("the supervisor is gone: stopping", supervisor=parent)
            came, parent = signal.SIGTERM, None
        if came is not None:
            signals += 1
            if signals == 2:
                deadline = time.monotonic() + last_words.total_seconds()
            _stop(parts, came, signals, exit_now)
        elif not (signals or one_ended) and not all(part.alive for part in parts):
            one_ended = True
            _stop_alive(parts)
    return next((part.exit_code for part in parts if part.exit_code), 0)


def _stop(parts: Sequence[Part[Any]], came: signal.Signals, signals: int, exit_now: Exit) -> None:
    match signals:
        case 1:
            _LOG.info("stopping: running jobs may end; a second signal stops at once", by=came.name)
        case 2:
            _LOG.warning("stopping at once: running jobs are given back", by=came.name)
        case _:
            exit_now(128 + came)
    _stop_alive(parts, at_once=signals > 1)


def _stop_alive(parts: Sequence[Part[Any]], *, at_once: bool = False) -> None:
    for part in parts:
        if part.alive:
            part.stop(at_once=at_once)
