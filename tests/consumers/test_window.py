"""The window's width: as wide as the pace needs, and no wider for long."""

from headrace.consumers.window import WIDEST, Window


def test_it_doubles_each_time_that_slots_waited_for_a_commit_up_to_a_bound() -> None:
    window = Window(32)
    widths = []
    for _ in range(12):
        window.adapt(0, 0.0, short=True)
        widths.append(window.width)
    assert widths[:4] == [64, 128, 256, 512]
    assert widths[-1] == WIDEST


def test_it_stays_while_the_pace_needs_it() -> None:
    window = Window(32)
    window.adapt(0, 0.0, short=True)
    for second in range(1, 20):
        window.adapt(second * 8, float(second), short=False)  # an eighth of 64
    assert window.width == 64


def test_it_shrinks_when_the_pace_falls_but_never_below_what_can_start_at_once() -> None:
    window = Window(40)
    for _ in range(4):
        window.adapt(0, 0.0, short=True)
    assert window.width == 640
    widths = []
    for second in range(2, 9):
        window.adapt(0, float(second), short=False)
        widths.append(window.width)
    assert widths == [320, 160, 80, 40, 40, 40, 40]


def test_the_pace_is_looked_at_over_a_second_not_between_two_commits() -> None:
    window = Window(32)
    window.adapt(0, 100.0, short=True)
    for tenth in range(1, 10):
        window.adapt(0, 100 + tenth / 10, short=False)
    assert window.width == 64


def test_one_that_is_wider_than_the_bound_from_the_start_stays_so() -> None:
    window = Window(WIDEST * 2)
    window.adapt(0, 0.0, short=True)
    assert window.width == WIDEST * 2
