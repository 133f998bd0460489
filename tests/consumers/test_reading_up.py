"""Reading up: a new owner knows what is due before anything hops, and hops are not forgotten."""

from headrace.consumers.reading_up import LONGEST, ReadingUp


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_goes_on_after_an_assignment_while_polls_bring_much_and_not_for_ever() -> None:
    clock = Clock()
    reading = ReadingUp(10, clock)
    assert not reading.goes_on
    reading.note(10, assigned=3)
    assert reading.goes_on
    reading.note(9, assigned=3)
    assert not reading.goes_on
    clock.now += LONGEST - 1
    reading.note(10, assigned=3)
    assert reading.goes_on
    clock.now += 1
    reading.note(10, assigned=3)
    assert not reading.goes_on, "what hops has its turn, however much comes"
    reading.note(10, assigned=4)
    assert reading.goes_on, "more partitions, more to read"
