"""Which event loop coroutine functions run on."""

import asyncio
import sys

from headrace.pipeline.errors import SettingsError
from headrace.pipeline.settings import EventLoop


def new_event_loop(wanted: EventLoop) -> asyncio.AbstractEventLoop:
    """Make an event loop: uvloop's unless told otherwise, where it is installed.

    It spares most of asyncio's own bookkeeping, a good part of what a job costs that does nothing.

    Raises:
        SettingsError: uvloop is wanted and not installed.
    """
    if wanted is EventLoop.ASYNCIO or sys.platform == "win32":
        return asyncio.new_event_loop()
    try:
        import uvloop  # noqa: PLC0415 - not everybody has it
    except ImportError as error:
        if wanted is EventLoop.AUTO:
            return asyncio.new_event_loop()
        raise SettingsError(
            f"HEADRACE_WORKER_EVENT_LOOP={wanted} needs uvloop, which cannot be imported "
            f"({error}): pip install 'headrace[speed]', or leave it at auto"
        ) from error
    return uvloop.new_event_loop()
