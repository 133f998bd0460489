"""Batches of transitions that a newer version wrote: what is known is read, what is not is told of."""

from headrace.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.transition_batches import BatchDecoder
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition, encode_batch

NOWHERE = KafkaSettings(bootstrap_servers="127.0.0.1:1")


def told(job_id: str, state: str) -> Transition:
    return Transition(job_id, "work", state, "shop.a.normal", 0, 0, 1, 0, 0, 5, 4, "w")


def test_transitions_to_states_of_a_newer_version_are_passed_over_and_told_of_once_a_batch() -> (
    None
):
    unknown: list[str] = []
    decoder = BatchDecoder(NOWHERE, Pipeline("shop").topology, unknown.append)
    batch = [told("a", "parked"), told("b", "succeeded"), told("c", "parked"), told("d", "asleep")]
    assert [each.job_id for each in decoder.decode(encode_batch(batch))] == ["b"]
    assert unknown == ["asleep", "parked"]


def test_every_state_of_this_version_is_read_and_can_be_put_in_order() -> None:
    decoder = BatchDecoder(NOWHERE, Pipeline("shop").topology)
    batch = [told("a", state) for state in JobState]
    found = decoder.decode(encode_batch(batch))
    assert sorted(found, key=lambda each: each.order) == batch
