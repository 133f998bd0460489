"""The checker: joins what handlers logged with what lies on the topics, and says what was broken.

It believes no figure of the engine. `check` is a pure function of the run folder's logs and of what
was read from the topics; what counts for each key stands at the top of the module that finds it:

    outcomes       lost, duplicates, fenced_violations (and late_outcomes)
    timing         early, lateness
    reexecutions   reexecuted, reexecution_bound_violations
    order          order_violations
    attempts       attempt_violations
    commits        premature_commits, stuck_partitions

`accepted` counts jobs whose delivery the broker confirmed, `executions` the starts that handlers
logged. Kept logs are checked again with `python -m headrace.console.proof.checker FOLDER`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

from headrace.console.proof import (
    attempts,
    commits,
    cover,
    dump,
    order,
    outcomes,
    reexecutions,
    timing,
)
from headrace.console.proof.dump import Records
from headrace.console.proof.findings import Findings, Shares, violations
from headrace.console.proof.joined import Job, Joined, RunLog, join
from headrace.console.proof.records import CALM
from headrace.console.proof.run_folder import RunFolder

MANY_KILLS: Final = 15
"""Kills from which some job must have run again: else they hit nothing."""


def check(log: RunLog, records: Records) -> Findings:
    """Check one run.

    Args:
        log: What was written down during the run.
        records: What lay on the topics after every worker and scheduler had ended.

    Returns:
        The findings; the same for any order of lines, files and records.
    """
    joined = join(log, records)
    repeated = reexecutions.reexecutions(joined)
    found = {
        "lost": violations(outcomes.lost(joined)),
        "early": violations(timing.early(joined)),
        "duplicates": violations(outcomes.duplicates(joined)),
        "reexecution_bound_violations": violations(repeated.unexplained),
        "order_violations": violations(order.order(joined)),
        "attempt_violations": violations(attempts.attempts(joined)),
        "fenced_violations": violations(outcomes.fenced(joined)),
        "premature_commits": violations(commits.premature(joined)),
        "stuck_partitions": violations(commits.stuck(joined)),
    }
    info = asdict(log.info)
    return Findings(
        accepted=sum(1 for _ in joined.accepted()),
        executions=sum(len(job.executions) for job in joined.jobs.values()),
        reexecuted=repeated.count,
        **{key: each.count for key, each in found.items()},
        late_outcomes=outcomes.late_outcomes(joined),
        faults=dict(sorted(Counter(fault.kind.value for fault in joined.faults).items())),
        reexecuted_by_kind=repeated.by_kind,
        outcomes=outcomes.outcome_counts(joined),
        lateness_ms=timing.lateness(joined),
        shares=_shares(joined),
        reasons=tuple(_reasons(log, joined, repeated.count)),
        examples={key: each.examples for key, each in found.items() if each.count},
        seed=log.info.seed,
        run={name: value for name, value in info.items() if name != "seed"},
    )


def check_folder(folder: Path) -> Findings:
    """Check a run whose topics were read (`topics_read.read_topics`) and kept (`dump.write`).

    Raises:
        RunFolderError: A file of the run is missing or broken.
    """
    return check(RunLog.load(RunFolder(folder)), dump.read(folder))


def _shares(joined: Joined) -> Shares:
    jobs = list(joined.accepted())
    return Shares(
        _share(jobs, (_was_retried(job) for job in jobs)),
        _share(jobs, (job.submission.due > 0 for job in jobs)),
        _share(jobs, (job.submission.key != "" for job in jobs)),
    )


def _share(jobs: list[Job], holds: Iterable[bool]) -> float:
    return round(sum(holds) / len(jobs), 4) if jobs else 0.0


def _was_retried(job: Job) -> bool:
    return any(each.attempt > 1 for each in job.executions)


def _reasons(log: RunLog, joined: Joined, reexecuted: int) -> Iterator[str]:
    """Say why the run proves nothing."""
    if not any(job.accepted for job in joined.jobs.values()):
        yield "no job was accepted"
    if not any(job.executions for job in joined.jobs.values()):
        yield "no execution was logged"
    if joined.strangers:
        yield (
            f"{len(joined.strangers)} jobs ran that are written down nowhere, the first "
            f"{joined.strangers[0]}: the list of submissions is not whole"
        )
    if joined.broken_logs:
        yield f"{joined.broken_logs} executions ended that had not begun: the logs are not whole"
    yield from _topic_reasons(joined)
    yield from _fault_reasons(log, joined, reexecuted)


def _topic_reasons(joined: Joined) -> Iterator[str]:
    if not joined.records.records:
        yield "no job lay on any topic"
    if not joined.records.transitions:
        yield "no transition lay on the events topic"
    for topic in commits.unwatched(joined):
        yield f"nobody asked what is committed on {topic}"
    ends = ((f"{t}/{p} at the end", at.committed) for (t, p), at in _sorted_positions(joined))
    snapshots = (
        (f"{topic}/{partition} at fault {fault.number}", committed)
        for fault in joined.faults
        for (topic, partition), committed in sorted(fault.committed.items())
    )
    broken = [*cover.problems(ends), *cover.problems(snapshots)]
    if broken:
        yield f"{len(broken)} commits have metadata that nobody can read; {broken[0]}"


def _sorted_positions(joined: Joined) -> list[tuple[tuple[str, int], dump.Position]]:
    return sorted(joined.records.positions.items())


def _fault_reasons(log: RunLog, joined: Joined, reexecuted: int) -> Iterator[str]:
    if log.faults is None:
        yield "it is not written down which faults were made"
    elif not log.faults and log.info.scenario != CALM:
        yield "no fault was made"
    kills = [fault for fault in joined.faults if fault.kind.kills_workers]
    for fault in kills:
        if fault.in_flight <= 0:
            yield f"fault {fault.number} ({fault.kind.value}) hit no job in flight"
        if not fault.workers:
            yield f"fault {fault.number} ({fault.kind.value}) names no worker"
        if not fault.committed:
            yield f"fault {fault.number} ({fault.kind.value}) does not say what was committed"
    if len(kills) >= MANY_KILLS and not reexecuted:
        yield f"{len(kills)} kills, and no job ran again: they hit nothing"


if __name__ == "__main__":
    from headrace.console.proof.report import main

    main()
