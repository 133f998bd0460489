"""The law of merging, without a database.

What can go wrong: the store shows another state when records come in another order, twice, or in
other batches; readers of different databases disagree about which row is the later one.
"""

import itertools
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.processors.store.row_types import EventRow, JobRow
from headrace.processors.store.rows import distinct, latest, lies_somewhere, order_key, rows_of
from headrace.schemas.states import JobState
from headrace.schemas.transitions import NOWHERE, Transition
from tests.store.evidence import LANE, SHOP, transition, transitions


@settings(deadline=None)
@given(transitions())
def test_order_keys_compare_as_transitions_do(found: list[Transition]) -> None:
    for one, other in itertools.combinations(found, 2):
        if one.order < other.order:
            assert order_key(one) < order_key(other)


@settings(deadline=None)
@given(transitions(), st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_give_the_same_rows(
    found: list[Transition], chance: Random
) -> None:
    shuffled = [*found, *found[:3]]
    chance.shuffle(shuffled)
    assert sorted(latest(_jobs(shuffled))) == sorted(latest(_jobs(found)))
    assert sorted(distinct(_events(shuffled))) == sorted(distinct(_events(found)))


def _jobs(found: list[Transition]) -> list[JobRow]:
    return [rows_of(each, SHOP.topology)[0] for each in found]


def _events(found: list[Transition]) -> list[EventRow]:
    return [row for each in found if (row := rows_of(each, SHOP.topology)[1]) is not None]


def test_two_workers_that_ran_the_same_attempt_are_two_events() -> None:
    one, other = transition(worker="w1"), transition(worker="w2")
    rows = [rows_of(each, SHOP.topology)[1] for each in (one, other, one)]
    assert len(distinct(row for row in rows if row is not None)) == 2


def test_a_row_knows_the_queue_and_priority_of_its_lane() -> None:
    row = rows_of(transition(), SHOP.topology)[0]
    assert (row.queue, row.priority) == tuple(LANE.split(".")[1:])


def test_a_job_that_died_between_two_lane_records_has_no_place() -> None:
    state = JobState.DEAD.value
    row = rows_of(transition(state=state, partition=NOWHERE, offset=NOWHERE), SHOP.topology)[0]
    assert not lies_somewhere(row)
