"""Running a Faust app in this process: no port of Faust's, the log as it is set up, a clean stop on a signal."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog

from headrace.processors.errors import StreamError
from headrace.processors.streams.app import PipelineApp
from headrace.processors.streams.beginning import commit_beginning

_LOG = structlog.get_logger("headrace.streams")
_LAST_WORDS: Final = 20.0
"""Seconds that a stop may take: flushing, committing, leaving the group."""
_LOOK: Final = 0.2
"""Seconds between looks whether the app has crashed."""
_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


def run_stream(
    app: PipelineApp, parent: int | None = None, turned: Callable[[], None] = lambda: None
) -> int:
    """Run an app that `faust_app` made until SIGTERM or SIGINT. In the main thread.

    Args:
        app: The app, with its agents.
        parent: Pid of a supervisor, whose death is taken as a signal; None when there is none.
        turned: Called on the event loop several times a second.

    Returns:
        The exit code: 0 after a stop, 1 when it did not come to an end in time.

    Raises:
        StreamError: The app crashed; says why.
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: A topic of one of its agents does not exist, or may not be read.
    """
    quiet()
    app.finalize()
    commit_beginning(app.kafka, app.conf.id, _topics_of(app), app.begin_back)
    Path(app.conf.datadir).parent.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_live(app, parent, turned))


def _topics_of(app: PipelineApp) -> set[str]:
    """Name what its agents read."""
    return {topic for agent in app.agents.values() for topic in agent.channel.topics}


def quiet() -> None:
    """Keep Faust's own chatter out of the log; its warnings stay."""
    # A service of Faust logs under its own module's name.
    for name in ("faust", "mode", "aiokafka", "kafka", "headrace.processors"):
        logging.getLogger(name).setLevel(logging.WARNING)


async def _live(app: PipelineApp, parent: int | None, turned: Callable[[], None]) -> int:
    stop = asyncio.Event()
    _on_signals(stop.set)
    started = asyncio.ensure_future(app.start())
    _LOG.info("stream started", app=app.conf.id, pid=os.getpid())
    while not stop.is_set() and not app.crashed and not (started.done() and started.exception()):
        turned()
        try:
            await asyncio.wait_for(stop.wait(), _LOOK)
        except TimeoutError:
            if parent is not None and os.getppid() != parent:
                _LOG.warning("the supervisor is gone: stopping", supervisor=parent)
                break
    reason = app.crash_reason or (started.exception() if started.done() else None)
    ended = await _end(app, started)
    if reason is not None:
        raise StreamError(f"{app.conf.id} ended: {type(reason).__name__}: {reason}") from reason
    _LOG.info("stream stopped", app=app.conf.id, in_order=ended)
    return 0 if ended else 1


def _on_signals(stop: Callable[[], None]) -> None:
    """Stop on the first signal; the second one ends the process as it would have without this."""
    loop = asyncio.get_running_loop()

    def take(number: signal.Signals) -> None:
        for each in _STOPPING:
            loop.remove_signal_handler(each)
        _LOG.info("stopping", by=number.name)
        stop()

    for each in _STOPPING:
        loop.add_signal_handler(each, take, each)


async def _end(app: PipelineApp, started: "asyncio.Future[Any]") -> bool:
    try:
        await asyncio.wait_for(app.stop(), _LAST_WORDS)
    except TimeoutError:
        _LOG.warning("the stream did not end in time: it is given up", app=app.conf.id)
        return False
    except RuntimeError as error:  # what Faust meets that has crashed before
        _LOG.debug("the stream did not end in order", app=app.conf.id, reason=str(error))
        return False
    finally:
        started.cancel()
    return True
