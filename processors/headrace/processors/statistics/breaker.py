"""When circuits open and close: pure decisions from the figures of the last minute."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from headrace.pipeline.circuits import Circuit, CircuitPolicy

BY = "statistics"


class Bucket(NamedTuple):
    """What ended in ten seconds of a job type. `start`: epoch ms."""

    start: int
    succeeded: int
    failed: int


def judge(
    job_type: str,
    policy: CircuitPolicy,
    buckets: Sequence[Bucket],
    circuit: Circuit | None,
    now: int,
) -> Circuit | None:
    """Say what the circuit becomes; None when it stays as it is.

    Args:
        job_type: Whose.
        policy: As declared.
        buckets: The last minute. Those from before the last change are not looked at again: what
            opened a circuit must not open it a second time.
        circuit: As the control topic has it; None when it says nothing.
        now: Epoch milliseconds.
    """
    state = "closed" if circuit is None else circuit.state(now)
    if state == "open":
        return None
    if circuit is not None and state == "half-open":
        return _after_trials(policy, buckets, circuit, now)
    changed = circuit.at if circuit is not None and not circuit.is_open else 0
    succeeded, failed = _since(buckets, changed)
    if succeeded + failed < policy.min_jobs or not _too_many(policy, succeeded, failed):
        return None
    return _opened(job_type, policy, now, f"{failed} of {succeeded + failed} attempts failed")


def _after_trials(
    policy: CircuitPolicy, buckets: Sequence[Bucket], circuit: Circuit, now: int
) -> Circuit | None:
    succeeded, failed = _since(buckets, circuit.until - 10_000)
    ended = succeeded + failed
    over = bool(buckets) and circuit.until < buckets[0].start
    if ended < policy.trial_jobs and not over:
        return None
    if not ended:  # nothing came, or it takes long: as many may be tried again
        return replace(circuit, at=now, until=now)
    if _too_many(policy, succeeded, failed):
        return _opened(circuit.job_type, policy, now, f"{failed} of {ended} trial jobs failed")
    reason = f"{succeeded} of {ended} trial jobs ended well"
    return Circuit(circuit.job_type, False, now, 0, policy.trial_jobs, BY, reason)


def _opened(job_type: str, policy: CircuitPolicy, now: int, reason: str) -> Circuit:
    return Circuit(job_type, True, now, now + policy.open_ms, policy.trial_jobs, BY, reason)


def _since(buckets: Sequence[Bucket], moment: int) -> tuple[int, int]:
    """Sum the buckets that begin after a moment: the one that it lies in tells of both sides."""
    after = [bucket for bucket in buckets if bucket.start > moment]
    return sum(each.succeeded for each in after), sum(each.failed for each in after)


def _too_many(policy: CircuitPolicy, succeeded: int, failed: int) -> bool:
    return failed >= policy.error_share * (succeeded + failed)
