"""Keeping to a rate, on a fake clock."""

import threading

from headrace.processors.repair.pace import Pace


class FakeTime(threading.Event):
    """A clock that `stop.wait` moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        return self.is_set()


def taken(pace: Pace, time: FakeTime, count: int) -> float:
    """Seconds that so many take."""
    began = time.now
    assert all(pace.wait(time) for _ in range(count))
    return time.now - began


def test_things_go_through_evenly_at_the_rate() -> None:
    time = FakeTime()
    pace = Pace(50.0, lambda: time.now)
    assert abs(taken(pace, time, 101) - 2.0) < 0.001


def test_a_pause_is_not_made_up_for_by_a_burst() -> None:
    time = FakeTime()
    pace = Pace(10.0, lambda: time.now)
    taken(pace, time, 10)
    time.now += 60
    assert taken(pace, time, 11) > 0.9


def test_without_a_rate_nothing_waits() -> None:
    time = FakeTime()
    assert taken(Pace(None, lambda: time.now), time, 10_000) == 0


def test_a_stop_ends_the_wait_and_lets_nothing_through() -> None:
    time = FakeTime()
    pace = Pace(1.0, lambda: time.now)
    assert pace.wait(time)
    time.set()
    assert not pace.wait(time)
    assert not Pace(None).wait(time)
