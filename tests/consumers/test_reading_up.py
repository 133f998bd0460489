"""Reading up: a new owner knows what is due before anything hops, and hops are not forgotten."""

from headrace.consumers.reading_up import LONGEST, PAUSE, ReadingUp


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def goes_on(reading: ReadingUp, of_soon: int, assigned: int) -> bool:
    reading.note(of_soon, assigned)
    return reading.goes_on


def test_it_goes_on_after_an_assignment_while_polls_bring_much_and_not_for_ever() -> None:
    clock = Clock()
    reading = ReadingUp(10, clock)
    assert not reading.goes_on
    assert goes_on(reading, 10, assigned=3)
    clock.now += PAUSE
    assert not goes_on(reading, 9, assigned=3)
    assert goes_on(reading, 10, assigned=3)
    clock.now += LONGEST - PAUSE
    assert not goes_on(reading, 10, assigned=3), "what hops has its turn, however much comes"
    assert goes_on(reading, 10, assigned=4), "more partitions, more to read"


def test_it_waits_for_the_first_answer_and_for_the_next_one_after_much() -> None:
    clock = Clock()
    reading = ReadingUp(10, clock)
    assert goes_on(reading, 0, assigned=3), "nothing can have come yet"
    clock.now += PAUSE - 0.01
    assert goes_on(reading, 10, assigned=3)
    clock.now += PAUSE - 0.01
    assert goes_on(reading, 0, assigned=3), "more may be on its way"
    clock.now += 0.01
    assert not goes_on(reading, 0, assigned=3), "that was all"
