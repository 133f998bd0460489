"""Commits: `premature_commits`, `stuck_partitions`.

A record is done when its outcome is stored:

- on a lane: a transition of a final state, or `duplicate`, that names its offset; or the record
  that follows it (same job, next step; in an ordered queue, where each wait in place is a step
  too, any later one) on a delay tier or in a dead-letter topic;
- on a delay tier: the record that follows it, on a lane, a tier or in a dead-letter topic.

A transition `retrying` or `dead` alone is not enough: the job itself must lie somewhere.

`premature_commits` counts records of accepted jobs that a commit covers (below its offset, or in its
finished map) before they were done. Commits looked at: what was committed when each fault hit, for
which the outcome must have been stored before the snapshot's answer; and what is committed at the
end, for which it must have been stored at all. The broker's clock is allowed to be ahead of the
runner's by as much as the logs show (`Joined.ahead`); one that is behind hides what is shorter than
the difference. Each record counts once, however many snapshots show it.

`stuck_partitions` counts partitions of lanes and delay tiers with a record that the last commit does
not cover, whosever it is. Lag alone counts not: markers of transactions take offsets too.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from headrace.console.proof.cover import cover_of
from headrace.console.proof.dump import Role, TopicRecord, role_of
from headrace.console.proof.findings import Example, about
from headrace.console.proof.joined import MS, Job, Joined
from headrace.console.proof.outcomes import FINAL
from headrace.console.proof.records import Committed, Fault, Place

_NEVER: Final = 2**63
_ENDS_A_RECORD: Final = (FINAL - {"dead"}) | {"duplicate"}


@dataclass(slots=True)
class _Partition:
    """When each record of one partition was done, in ms by the broker's clock; by offset."""

    offsets: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    latest: list[int] = field(default_factory=list)
    """The latest of `done` up to each record."""

    def seal(self) -> None:
        """Put in order what was added."""
        rows = sorted(zip(self.offsets, self.done, range(len(self.jobs)), strict=True))
        jobs = self.jobs
        self.offsets = [offset for offset, _, _ in rows]
        self.done = [done for _, done, _ in rows]
        self.jobs = [jobs[number] for _, _, number in rows]
        self.latest = list(accumulate(self.done, max))

    def premature(self, committed: Committed, by: int) -> Iterator[int]:
        """Give the numbers of records that are covered and were not done by then (ms)."""
        cover = cover_of(committed)
        below = bisect_left(self.offsets, cover.offset)
        if below and self.latest[below - 1] > by:
            yield from (number for number in range(below) if self.done[number] > by)
        for run in cover.finished:
            first, last = (bisect_left(self.offsets, at) for at in (run.start, run.stop))
            yield from (number for number in range(first, last) if self.done[number] > by)


def premature(joined: Joined) -> Iterator[Example]:
    """Find records that were committed before they were done."""
    partitions = _partitions(joined)
    found: dict[tuple[Place, int], Example] = {}
    for fault in joined.faults:
        by = ((fault.snapshot_ns or fault.ended_ns) + joined.ahead) // MS
        _look(partitions, fault.committed, by, found, fault)
    ends = {place: at.committed for place, at in joined.records.positions.items()}
    _look(partitions, ends, _NEVER - 1, found, None)
    yield from found.values()


def _look(
    partitions: Mapping[Place, _Partition],
    commits: Mapping[Place, Committed],
    by: int,
    found: dict[tuple[Place, int], Example],
    fault: Fault | None,
) -> None:
    for place, committed in commits.items():
        partition = partitions.get(place)
        if partition is None:
            continue
        for number in partition.premature(committed, by):
            offset, done = partition.offsets[number], partition.done[number]
            when = f"when fault {fault.number} hit" if fault else "at the end"
            what = (
                f"{place[0]}/{place[1]} at {offset} was committed {when} and its outcome was stored "
                + ("never" if done == _NEVER else f"{done - by} ms later")
            )
            example = about(partition.jobs[number], what, fault.number if fault else 0)
            found.setdefault((place, offset), example)


def _partitions(joined: Joined) -> dict[Place, _Partition]:
    found: dict[Place, _Partition] = {}
    for job in joined.accepted():
        for record, done in _done(job):
            partition = found.setdefault(record.place, _Partition())
            partition.offsets.append(record.offset)
            partition.done.append(done)
            partition.jobs.append(job)
    for partition in found.values():
        partition.seal()
    return found


def _done(job: Job) -> Iterator[tuple[TopicRecord, int]]:
    told = {
        (each.lane, each.partition, each.offset): each.appended
        for each in sorted(job.transitions, reverse=True)
        if each.state in _ENDS_A_RECORD
    }
    away = _first_by_step([*job.tiers, *job.dead])
    anywhere = _first_by_step([*job.lane, *job.tiers, *job.dead])
    for record in job.lane:
        outcome = told.get((record.topic, record.partition, record.offset), _NEVER)
        left = (
            min((at for (_, step), at in away.items() if step > record.step), default=_NEVER)
            if job.ordered
            else away.get((record.generation, record.step + 1), _NEVER)
        )
        yield record, min(outcome, left)
    for record in job.tiers:
        yield record, anywhere.get((record.generation, record.step + 1), _NEVER)


def _first_by_step(records: list[TopicRecord]) -> dict[tuple[int, int], int]:
    ordered = sorted(records, key=lambda each: each.appended, reverse=True)
    return {(each.generation, each.step): each.appended for each in ordered}


def stuck(joined: Joined) -> Iterator[Example]:
    """Find lanes and delay tiers that were not drained."""
    covers = {place: cover_of(at.committed) for place, at in joined.records.positions.items()}
    waiting: dict[Place, list[TopicRecord]] = {}
    for record in joined.records.records:
        cover = covers.get(record.place)
        if cover is not None and record.offset not in cover:
            waiting.setdefault(record.place, []).append(record)
    for (topic, partition), records in sorted(waiting.items()):
        first = min(records, key=lambda each: each.offset)
        position = joined.records.positions[topic, partition]
        yield Example(
            f"{topic}/{partition} still holds {len(records)} records that no commit covers, the "
            f"first at {first.offset}; {position.committed.offset} of {position.end} is committed",
            first.job_id,
            details={"first": first._asdict(), "committed": position.committed._asdict()},
        )


def unwatched(joined: Joined) -> list[str]:
    """Name lanes and delay tiers that hold records and whose commits nobody asked for."""
    known = {topic for topic, _ in joined.records.positions}
    topics = {record.topic for record in joined.records.records} - known
    moved = (Role.LANE, Role.TIER)
    return sorted(topic for topic in topics if role_of(topic, joined.info.pipeline) in moved)
