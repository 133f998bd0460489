"""Which event loop a worker takes, and what it says when the wanted one is not there."""

import asyncio
import sys

import pytest
import uvloop

from headrace.consumers.executors.event_loops import new_event_loop
from headrace.pipeline import SettingsError
from headrace.pipeline.settings import EventLoop


def test_the_faster_loop_is_taken_where_it_is_installed() -> None:
    loop = new_event_loop(EventLoop.AUTO)
    assert isinstance(loop, uvloop.Loop)
    loop.close()


def test_the_loop_of_the_standard_library_can_be_asked_for() -> None:
    loop = new_event_loop(EventLoop.ASYNCIO)
    assert isinstance(loop, asyncio.SelectorEventLoop)
    loop.close()


def test_without_uvloop_the_standard_one_is_taken_unless_uvloop_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_event_loop(EventLoop.AUTO)
    assert isinstance(loop, asyncio.SelectorEventLoop)
    loop.close()
    with pytest.raises(
        SettingsError, match=r"EVENT_LOOP=uvloop .* pip install 'headrace\[speed\]'"
    ):
        new_event_loop(EventLoop.UVLOOP)
