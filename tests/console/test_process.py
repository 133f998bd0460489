"""The inside of a long-running process: parts, signals, and what its probes tell."""

import os
import signal
import threading
import time
from collections.abc import Mapping
from datetime import timedelta

from headrace.console.process.life import live
from headrace.console.process.part import Part
from headrace.console.process.probes import Member, is_ready, lives
from headrace.console.process.signals import Inbox
from headrace.consumers.figures import LaneFigures

MINUTE = timedelta(minutes=1)


class Fake:
    """A service that runs until its n-th stop."""

    def __init__(self, stops: int = 1, code: int = 0) -> None:
        self.lane = LaneFigures(joined=True, last_poll=time.monotonic())
        self.stops: list[bool] = []
        self.running = threading.Event()
        self._needed = stops
        self._code = code
        self._enough = threading.Event()

    def run(self) -> int:
        self.running.set()
        self._enough.wait(30)
        return self._code

    def stop(self, *, at_once: bool = False) -> None:
        self.stops.append(at_once)
        if len(self.stops) >= self._needed:
            self._enough.set()

    def figures(self) -> Mapping[str, LaneFigures]:
        return {"shop.default.high": self.lane}

    def assigned(self) -> bool:
        return self.lane.joined

    def broker_answers(self) -> bool:
        return True


def part_of(service: Fake) -> Part[Member]:
    return Part("worker", lambda _: service)


def live_and_signal(
    parts: list[Part[Member]],
    signals: list[signal.Signals],
    first: Fake,
    last_words: timedelta = MINUTE,
) -> tuple[int, list[int]]:
    """Run parts, give signals one after the other, and tell the code and forced exits."""
    inbox, exits = Inbox(), list[int]()

    def send() -> None:
        first.running.wait(10)
        for number in signals:
            inbox._events.put(number)

    threading.Thread(target=send).start()

    def exit_now(code: int) -> None:
        exits.append(code)
        for part in parts:
            for _ in range(10):
                part.stop()
        raise SystemExit(code)

    try:
        return live(parts, inbox, exit_now=exit_now, last_words=last_words), exits
    except SystemExit:
        return -1, exits


def test_a_first_signal_drains_and_a_second_gives_back_at_once() -> None:
    service = Fake(stops=2)
    assert live_and_signal([part_of(service)], [signal.SIGTERM, signal.SIGINT], service) == (0, [])
    assert service.stops == [False, True]


def test_a_third_signal_ends_the_process_whatever_hangs() -> None:
    service = Fake(stops=9)
    _, exits = live_and_signal([part_of(service)], [signal.SIGTERM] * 3, service)
    assert exits == [128 + signal.SIGTERM]


def test_what_hangs_after_the_second_signal_does_not_hold_up_the_end_for_ever() -> None:
    service, soon = Fake(stops=9), timedelta(milliseconds=10)
    _, exits = live_and_signal([part_of(service)], [signal.SIGTERM] * 2, service, soon)
    assert exits == [128 + signal.SIGTERM]


def test_a_part_that_ends_takes_the_others_with_it_and_its_code_is_kept() -> None:
    failing, other = Fake(stops=0, code=1), Fake()
    failing._enough.set()
    code, _ = live_and_signal([part_of(other), part_of(failing)], [], failing)
    assert code == 1
    assert other.stops == [False]


def test_the_death_of_the_supervisor_is_a_signal() -> None:
    service = Fake()
    not_the_parent = os.getppid() + 1
    assert live([part_of(service)], Inbox(), parent=not_the_parent) == 0
    assert service.stops == [False]


def test_a_part_that_still_waits_for_kafka_does_not_hold_up_a_stop() -> None:
    release = threading.Event()

    def make(stopping: threading.Event) -> Fake | None:
        release.wait(30)
        return Fake()

    part: Part[Member] = Part("worker", make)
    part.start(lambda: None)
    part.stop()
    assert not part.alive
    release.set()


def test_a_part_is_ready_once_it_has_partitions() -> None:
    service = Fake()
    part = part_of(service)
    assert "starting" in is_ready(part).detail
    part.start(lambda: None)
    service.running.wait(10)
    assert is_ready(part).ok
    service.lane.joined = False
    assert not is_ready(part).ok
    service.lane.joined, service.lane.blocked = True, "the DLQ is gone"
    assert "the DLQ is gone" in is_ready(part).detail
    service.lane.blocked = ""
    part.stop()
    assert is_ready(part).detail == "stopping"


def test_a_thread_that_does_not_poll_is_not_alive() -> None:
    service = Fake()
    part = part_of(service)
    part.start(lambda: None)
    service.running.wait(10)
    assert lives(part, MINUTE).ok
    service.lane.last_poll = time.monotonic() - 61
    told = lives(part, MINUTE)
    assert not told.ok
    assert "shop.default.high was not polled for 61 s" in told.detail
    part.stop()
