"""Strategies for tests: with the same rules as the built-in ones, and windows that a test can wait for."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from headrace.deploy.scaling.rules import Rules, percent, pods
from headrace.deploy.scaling.strategy import Strategy


def _seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


AT_ONCE: Final = Strategy(
    "at once",
    up=Rules(_seconds(0), (percent(900, _seconds(1)),)),
    down=Rules(_seconds(0), (percent(100, _seconds(1)),)),
    cooldown=_seconds(5),
    polling=_seconds(2),
)
"""Whatever the metric asks for, in one step."""

PATIENT: Final = replace(AT_ONCE, name="patient", cooldown=_seconds(900))
"""As `AT_ONCE`, but a lane is not sent to sleep within any trouble that a test makes."""

PUSHED: Final = replace(AT_ONCE, name="pushed", polling=_seconds(600))
"""As `AT_ONCE`, but KEDA hardly ever asks: who wants a pod sooner has to say so."""

BRISK: Final = Strategy(
    "brisk",
    up=Rules(_seconds(4), (percent(100, _seconds(6)), pods(2, _seconds(6))), tolerance=0.0),
    down=Rules(_seconds(20), (pods(1, _seconds(6)),)),
    cooldown=_seconds(15),
    polling=_seconds(2),
)
"""As the default, in a twentieth of its time or so: up in steps, down one by one."""
