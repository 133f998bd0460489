"""Giving orders to drop jobs, and waiting until they are honoured."""

from headrace.pipeline.compacted import write_all
from headrace.pipeline.orders import cancel_records
from headrace.schemas.states import JobState
from tests.support.stage import Stage


def cancel(stage: Stage, *job_ids: str, reason: str = "") -> None:
    topology = stage.pipeline.topology
    write_all(stage.kafka, cancel_records(topology, job_ids, by="anna", reason=reason))


def await_cancelled(stage: Stage, *job_ids: str) -> None:
    for job_id in job_ids:
        told = stage.await_state(job_id, JobState.CANCELLED)
        assert told.reason == "cancelled by anna"
