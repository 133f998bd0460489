"""Dead letters as a worker writes them, without waiting for jobs to fail."""

import itertools
from typing import Any

from headrace.consumers import dead_letters
from headrace.consumers.outcomes import ErrorInfo
from headrace.schemas import headers
from headrace.schemas.headers import JobHeaders, PastAttempt
from headrace.schemas.ids import new_job_id
from headrace.schemas.states import DeadReason
from tests.support.stage import Stage

ERROR = ErrorInfo((), "ValueError", "the deploy of Tuesday", "Traceback (most recent call last):\n")
HISTORY = (PastAttempt(3, 1_700_000_000_000, "ValueError", "the deploy of Tuesday"),)
ROUND = itertools.count()


def bury(
    stage: Stage,
    count: int = 1,
    *,
    job_type: str = "work",
    lane: str = "default.normal",
    queue: str = "default",
    arguments: dict[str, Any] | None = None,
    payload: bytes | None = None,
    key: bytes | None = b"",
    partition: int | None = None,
    **changes: Any,
) -> list[str]:
    """Write dead letters and give their job ids, in the order of writing.

    Args:
        stage: Where.
        count: How many.
        job_type: Of all of them.
        lane: The lane that they died on.
        queue: Whose dead letters they become.
        arguments: Of the job; `tag` is the job's id when not given.
        payload: The bytes instead of arguments.
        key: The key; the job's id when empty, none when None.
        partition: Of the dead-letter topic; spread when None.
        changes: Fields of the headers, such as `generation`.
    """
    ids = [new_job_id() for _ in range(count)]
    declared = stage.pipeline.job_types.get(job_type)
    records = []
    for job_id in ids:
        fields: dict[str, Any] = {
            "source": headers.source(stage.pipeline.name),
            "created": 1_700_000_000_000,
            "lane": stage.topic(lane),
            "attempt": 3,
            "step": 5,
            "history": HISTORY,
        }
        job = JobHeaders(job_id=job_id, job_type=job_type, **(fields | changes))
        value = payload
        if value is None and declared is not None:
            codec = declared.arguments
            value = codec.encode(codec.bind(**{"tag": job_id, **(arguments or {})}))
        place = dead_letters.Place(stage.topic(lane), 0, next(ROUND), "worker-1")
        died = dead_letters.headers_of(DeadReason.EXHAUSTED, ERROR, place, 1_700_000_001_000)
        records.append(
            (f"{queue}.dlq", value, job_id.encode() if key == b"" else key, [*job.encode(), *died])
        )
    stage.send_many(records, **({} if partition is None else {"partition": partition}))
    return ids
