"""The time of recorders and commits, as the test says."""

import pytest

from headrace.consumers import commits, recording


class Clock:
    """The time, as the test says."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (commits, recording):
        monkeypatch.setattr(module, "time", clock)
    return clock
