"""Evidence to make rows of: a small pipeline, and transitions of a few jobs in any shape."""

from typing import Any

from hypothesis import strategies as st

from headrace.pipeline import Pipeline
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition

SHOP = Pipeline("shop")
LANE = next(SHOP.topology.lanes()).topic
TOLD = [state for state in JobState if state not in (JobState.QUEUED, JobState.DELAYED)]


def transition(job_id: str = "a", state: str = "succeeded", **given: Any) -> Transition:
    """One transition; what is not given is the same for all."""
    values: dict[str, Any] = {
        "job_type": "send",
        "lane": LANE,
        "partition": 0,
        "offset": 0,
        "attempt": 1,
        "step": 1,
        "generation": 0,
        "time": 1_000,
        "created": 500,
        "worker": "w1",
    }
    return Transition(job_id=job_id, state=state, **(values | given))


def transitions() -> st.SearchStrategy[list[Transition]]:
    """Some of a few jobs, many of them alike in part."""
    small = st.integers(0, 2)
    one = st.builds(
        transition,
        st.sampled_from("abc"),
        st.sampled_from([state.value for state in TOLD]),
        offset=small,
        attempt=st.integers(1, 3),
        step=small,
        generation=st.integers(0, 1),
        time=small,
        worker=st.sampled_from(["w1", "w2"]),
    )
    return st.lists(one.map(_with_result), min_size=1, max_size=12)


def _with_result(told: Transition) -> Transition:
    return told._replace(result=b"r" * told.offset) if told.worker == "w1" else told
