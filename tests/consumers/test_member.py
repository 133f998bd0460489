"""A member that leaves right when its group changes.

What can go wrong: what was revoked a moment ago is followed by an assignment, be it an empty one, and
each such change costs the membership that hand-overs are made with. A member that leaves without one
keeps its failed jobs for the whole drain budget, and they run again.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from headrace.consumers.figures import MemberFigures
from headrace.consumers.member import Member
from headrace.consumers.owned import Place
from headrace.consumers.partitions import Partitions


class StubConsumer:
    """Calls back in its polls what it is told to, one thing in each."""

    def __init__(self) -> None:
        self.changes: list[str] = []
        self.callbacks: dict[str, Callable[..., None]] = {}
        self.member_id = "member"
        self.before_change: Callable[[], None] = lambda: None
        self.subscriptions: list[tuple[list[str], list[str]]] = []

    def subscribe(self, topics: list[str], **callbacks: Callable[..., None]) -> None:
        self.callbacks = callbacks
        self.subscriptions.append((topics, sorted(callbacks)))

    def poll(self, timeout: float) -> None:
        if self.changes:
            self.before_change()
            self.callbacks[self.changes.pop(0)](self, [])

    def memberid(self) -> str:
        return self.member_id

    def incremental_unassign(self, places: Sequence[Any]) -> None:
        pass

    def close(self) -> None:
        pass


class StubRecorder:
    """Knows whether it could hand over."""

    def __init__(self) -> None:
        self.trusts_membership = False
        self.commits = self

    def prove_membership(self) -> None:
        self.trusts_membership = True

    note_membership = prove_membership

    def await_hand_over(self) -> None:
        pass

    def distrust_membership(self) -> None:
        self.trusts_membership = False

    def belong_to(self, consumer: object) -> None:
        pass

    def suspend(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def commit_finally(self, places: Sequence[Place], *, in_poll: bool) -> None:
        pass


class Work:
    """Notes, when it is told to let jobs end, whether their outcomes could be handed over."""

    def __init__(self, recorder: StubRecorder) -> None:
        self.recorder = recorder
        self.could_hand_over: list[bool] = []
        self.before_serving: Callable[[], None] = lambda: None

    def drain(self, places: Sequence[Place], serve: Callable[[], None] | None = None) -> None:
        if serve is not None:
            self.before_serving()
            serve()
            serve()
        self.could_hand_over.append(self.recorder.trusts_membership)

    def forget(self, places: Sequence[Place]) -> None:
        pass


class NoPartitions:
    """Owns nothing."""

    owned: dict[Place, Any]

    def __init__(self) -> None:
        self.owned = {}

    def close(self, places: Sequence[Place]) -> None:
        pass


def joined(*, classic: bool = False) -> tuple[StubConsumer, Work, Member]:
    consumer, recorder = StubConsumer(), StubRecorder()
    work = Work(recorder)
    partitions: Any = NoPartitions()
    given: Any = consumer
    recording: Any = recorder
    owned: Partitions = partitions
    member = Member(
        "shop.default.normal",
        ["shop.default.normal"],
        lambda *_: given,
        owned,
        recording,
        MemberFigures(),
        work,
        classic=classic,
    )
    return consumer, work, member


@pytest.mark.parametrize(
    "changes", [[], ["on_assign"], ["on_revoke", "on_assign"], ["on_revoke", "on_assign"] * 3]
)
def test_a_member_that_leaves_during_a_rebalance_can_hand_over_what_still_ends(
    changes: list[str],
) -> None:
    consumer, work, member = joined()
    consumer.changes = ["on_revoke", *changes]
    member.poll(0, 1)
    member.leave()
    assert work.could_hand_over[-1] is True


def test_a_group_that_changes_while_jobs_end_takes_the_hand_overs_of_a_member_that_leaves() -> None:
    consumer, work, member = joined()
    member.poll(0, 1)
    work.before_serving = lambda: consumer.changes.append("on_assign")
    member.leave()
    assert work.could_hand_over == [True]


@pytest.mark.parametrize(
    ("classic", "member_id", "can"),
    [(True, "member", True), (False, "member", False), (True, "", False)],
    ids=["classic", "consumer", "put out"],
)
def test_what_is_revoked_in_a_classic_group_is_handed_over_in_the_generation_that_asks_for_it(
    classic: bool, member_id: str, can: bool
) -> None:
    """Under KIP-848 the epoch of before stays good; a new one might be that of a second life."""
    consumer, work, member = joined(classic=classic)
    consumer.member_id = member_id
    consumer.before_change = work.recorder.distrust_membership  # what was proved is refused now
    consumer.changes = ["on_revoke"]
    member.poll(0, 1)
    assert work.could_hand_over == [can]


@pytest.mark.parametrize(("classic", "times"), [(False, 2), (True, 1)], ids=["consumer", "classic"])
def test_who_asks_for_more_tells_its_subscription_anew_where_that_changes_nothing(
    classic: bool, times: int
) -> None:
    consumer, _, member = joined(classic=classic)
    member.ask_for_more()
    every = (["shop.default.normal"], ["on_assign", "on_lost", "on_revoke"])
    assert consumer.subscriptions == [every] * times
