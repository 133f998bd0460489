"""Crash accounting against any interleaving of work, answers, deaths and rebalances.

Every step checks: what runs is covered by a window that the broker has; a suspect runs alone; the
broker calls nobody alone who is not; no commit covers an unfinished job; nobody is blamed without
three deaths alone. At the end everything must come to its end, whatever state the steps left behind.
"""

import os
from collections.abc import Callable
from functools import partial

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from headrace.consumers.commit_metadata import State
from tests.consumers.crash_world import Broker, Killed, Owner

KINDS = ("innocent", "innocent", "innocent", "", "killer", "takes-all", "veteran", "survivor")
ANSWERS = st.sampled_from(("landed", "landed", "refused", "later"))
PARTITIONS = st.integers(0, 1)
WHO = st.integers(0, 1)


class CrashModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.broker = Broker()
        self.owners: list[Owner] = []
        self.born = 0
        for place in range(2):
            self.owners.append(self.new_owner())
            self.owners[place].take_over(place)
            self.broker.append(place, ["innocent", "killer", "innocent", "", "takes-all"])

    def new_owner(self) -> Owner:
        self.born += 1
        return Owner(self.broker, f"worker-{self.born}")

    def of(self, partition: int) -> Owner | None:
        return self.broker.owners[partition]

    def lives(self, who: int, act: Callable[[], object], *, landed: bool = False) -> bool:
        """Let a worker do something; if it dies by that, another starts in its place."""
        try:
            act()
        except Killed:
            self.owners[who].die(landed=landed)
            self.owners[who] = self.new_owner()
            return False
        return True

    # -- rules -----------------------------------------------------------------------------------

    @rule(partition=PARTITIONS, kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
    def append(self, partition: int, kinds: list[str]) -> None:
        self.broker.append(partition, kinds)

    @rule(partition=PARTITIONS, count=st.integers(30, 120))
    def append_many(self, partition: int, count: int) -> None:
        self.broker.append(partition, ["innocent"] * count)

    @rule(
        who=WHO,
        answers=st.lists(ANSWERS, min_size=1, max_size=5),
        most=st.integers(1, 80),
    )
    def turns(self, who: int, answers: list[str], most: int) -> None:
        for answer in answers:
            self.owners[who].turn(answers=answer, most=most)
            self.owners[who].check()

    @rule(who=WHO, answers=st.lists(ANSWERS, min_size=1, max_size=12))
    def work(self, who: int, answers: list[str]) -> None:
        """Go on as on any day, until a job kills."""
        for answer in answers:
            owner = self.owners[who]
            owner.turn(answers=answer)
            owner.check()
            for job, _ in owner.all_running():
                if not self.lives(who, partial(owner.end, job)):
                    return
            owner.store(3)

    @rule(
        who=WHO,
        which=st.integers(0, 5),
        unavailable=st.booleans(),
        landed=st.booleans(),
    )
    def end_a_job(self, who: int, which: int, unavailable: bool, landed: bool) -> None:
        owner = self.owners[who]
        running = owner.all_running()
        if running:
            job = running[which % len(running)][0]
            self.lives(who, lambda: owner.end(job, unavailable=unavailable), landed=landed)

    @rule(who=WHO, count=st.integers(1, 9))
    def store(self, who: int, count: int) -> None:
        self.owners[who].store(count)

    @rule(who=WHO)
    def hand_over(self, who: int) -> None:
        self.owners[who].hand_over()

    @rule(who=WHO, landed=st.booleans())
    def end_transaction(self, who: int, landed: bool) -> None:
        self.owners[who].end_transaction(landed=landed)

    @rule(who=WHO, landed=st.booleans())
    def is_killed(self, who: int, landed: bool) -> None:
        self.owners[who].die(landed=landed)
        self.owners[who] = self.new_owner()

    @rule(partition=PARTITIONS, who=WHO)
    def take_over(self, partition: int, who: int) -> None:
        if self.of(partition) is None:
            self.owners[who].take_over(partition)

    @rule(partition=PARTITIONS, finish=st.booleans(), refused=st.booleans())
    def revoke(self, partition: int, finish: bool, refused: bool) -> None:
        owner = self.of(partition)
        if owner is not None:
            who = self.owners.index(owner)
            self.lives(who, lambda: owner.give_up(partition, finish=finish, refused=refused))

    @rule(partition=PARTITIONS, again=st.booleans())
    def lose(self, partition: int, again: bool) -> None:
        owner = self.of(partition)
        if owner is not None:
            owner.lose(partition)
            if again:
                owner.take_over(partition)

    # -- what holds ------------------------------------------------------------------------------

    @invariant()
    def every_owner_keeps_the_rules(self) -> None:
        for owner in self.owners:
            owner.check()

    @invariant()
    def a_killer_costs_two_workers_at_most_before_it_runs_apart(self) -> None:
        assert max(self.broker.deaths_by.values(), default=0) <= 2

    def teardown(self) -> None:
        """Whatever was left behind, everything comes to its end, and the streaks do."""
        for _ in range(3_000):
            if self.everything_is_done():
                break
            self.go_on()
            self.every_owner_keeps_the_rules()
            self.a_killer_costs_two_workers_at_most_before_it_runs_apart()
        assert self.everything_is_done(), "nothing moves any more"
        for partition, owner in enumerate(self.broker.owners):
            assert owner is not None
            owner.give_up(partition, finish=True, refused=False)
            known = self.broker.known(partition)
            assert (known.state, known.streak, known.window) == (State.CLEAN, 0, 0)

    def go_on(self) -> None:
        for partition in range(2):
            if self.of(partition) is None:
                self.owners[partition].take_over(partition)
        for who in range(2):
            owner = self.owners[who]
            owner.end_transaction(landed=True)
            owner.turn()
            owner.store(1_000)
            for job, _ in owner.all_running():
                if not self.lives(who, partial(owner.end, job)):
                    break

    def everything_is_done(self) -> bool:
        return all(
            owner is not None and self.broker.committed[partition][0] == self.broker.ends[partition]
            for partition, owner in enumerate(self.broker.owners)
        )


TestCrashModel = CrashModel.TestCase
TestCrashModel.settings = settings(
    derandomize=True,
    max_examples=int(os.environ.get("HEADRACE_MODEL_EXAMPLES", "100")),
    stateful_step_count=50,
    deadline=None,
)
