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

    def subscribe(self, topics: list[str], **callbacks: Callable[..., None]) -> None:
        self.callbacks = callbacks

    def poll(self, timeout: float) -> None:
        if self.changes:
            self.callbacks[self.changes.pop(0)](self, [])

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

    def distrust_membership(self) -> None:
        self.trusts_membership = False

    def belong_to(self, consumer: object) -> None:
        pass

    def suspend(self, *, in_poll: bool) -> None:
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

    def drain(self, places: Sequence[Place]) -> None:
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


@pytest.mark.parametrize(
    "changes", [[], ["on_assign"], ["on_revoke", "on_assign"], ["on_revoke", "on_assign"] * 3]
)
def test_a_member_that_leaves_during_a_rebalance_can_hand_over_what_still_ends(
    changes: list[str],
) -> None:
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
    )
    consumer.changes = ["on_revoke", *changes]
    member.poll(0, 1)
    member.leave()
    assert work.could_hand_over[-1] is True
