"""What the engine sees of the world beside Kafka: a clock that moves when it is told to, no log.

The engine's own modules are not changed; only their names `time` and `_LOG` mean something else
while a model runs.
"""

import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

START = 1_700_000_000_000
"""Epoch milliseconds at which every model begins."""
_ENGINE = "headrace.consumers."


class Clock:
    """Stands for the module `time`. Milliseconds are whole, so nothing is lost in rounding."""

    def __init__(self) -> None:
        self.ms = START
        self.passed: Callable[[], None] = lambda: None
        """Told whenever time has passed."""

    def advance(self, seconds: float) -> None:
        """Let time pass, at least a millisecond."""
        self.ms += max(1, round(seconds * 1000))
        self.passed()

    def time_ns(self) -> int:
        return self.ms * 1_000_000

    def time(self) -> float:
        return self.ms / 1000

    def monotonic(self) -> float:
        return (self.ms - START) / 1000

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)


class Silence:
    """Stands for a logger."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


class Surroundings:
    """Takes the place of clock and log until `restore`."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._before: list[tuple[ModuleType, str, Any]] = []
        silence = Silence()
        for module in list(_engine()):
            if getattr(module, "time", None) is time:
                self._replace(module, "time", self.clock)
            if hasattr(module, "_LOG"):
                self._replace(module, "_LOG", silence)

    def restore(self) -> None:
        """Give the engine back what it had."""
        while self._before:
            module, name, value = self._before.pop()
            setattr(module, name, value)

    def _replace(self, module: ModuleType, name: str, value: Any) -> None:
        self._before.append((module, name, getattr(module, name)))
        setattr(module, name, value)


def _engine() -> Iterator[ModuleType]:
    for name in sorted(sys.modules):
        if name.startswith(_ENGINE):
            yield sys.modules[name]
