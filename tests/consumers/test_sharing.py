"""Sharing: whoever has not all of it asks for more, and only as often as it must."""

from typing import Any, cast

from headrace.consumers.figures import MemberFigures
from headrace.consumers.partitions import Partitions
from headrace.consumers.sharing import INTERVAL, Sharing


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class StubMember:
    """Of a group whose topic has so many partitions."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.asked = 0
        self.counted = 0

    def partition_count(self, topic: str) -> int:
        self.counted += 1
        return self.partitions

    def ask_for_more(self) -> None:
        self.asked += 1


class Owning:
    """So many partitions of `soon`, and more of another tier."""

    def __init__(self, count: int) -> None:
        self.owned: dict[tuple[str, int], Any] = {}
        self.own(count)

    def own(self, count: int) -> None:
        soon = {("soon", number): None for number in range(count)}
        self.owned = soon | {("5s", number): None for number in range(9)}


def sharing(owning: Owning) -> tuple[Sharing, MemberFigures, Clock]:
    figures, clock = MemberFigures(), Clock()
    return Sharing("soon", cast(Partitions, owning), figures, clock), figures, clock


def test_who_shares_asks_every_tenth_of_a_second_and_who_has_all_does_not() -> None:
    owning, member = Owning(0), StubMember(3)
    shared, figures, clock = sharing(owning)
    for expected in (1, 2):
        shared.step(member)
        shared.step(member)
        assert member.asked == expected
        clock.now += INTERVAL
    owning.own(3)
    figures.assigned = 3
    shared.step(member)
    assert member.asked == 2, "it has all"
    owning.own(2)
    clock.now += INTERVAL
    shared.step(member)
    assert member.asked == 3, "another one has a part again"


def test_how_many_partitions_there_are_is_asked_once_for_each_assignment() -> None:
    owning, member = Owning(3), StubMember(3)
    shared, figures, clock = sharing(owning)
    for _ in range(3):
        shared.step(member)
        clock.now += INTERVAL
    assert (member.counted, member.asked) == (1, 0)
    member.partitions, figures.assigned = 5, 3
    shared.step(member)
    assert (member.counted, member.asked) == (2, 1), "the topic was given more of them"
