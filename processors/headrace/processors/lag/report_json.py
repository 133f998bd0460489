"""A lag report for programs."""

from collections.abc import Mapping

from headrace.pipeline.topics import Role
from headrace.processors.lag.due_counts import LaneDue
from headrace.processors.lag.report import LagReport, PartitionLag, TopicLag
from headrace.processors.times import both_times


def as_json(report: LagReport) -> dict[str, object]:
    """Give a report with stable keys.

    Keys: `pipeline`, `at_ms`, `at`, `verdict`, `lanes`, `tiers`, `dead_letters`, `notes`.

    Of a topic: `topic`, `exists`, `verdict`, `why`, `messages`, `exact`, `rate_in`, `rate_out`,
    `last_commit_ms`, `last_commit`, `retention_used`, `partitions`. Of lanes and tiers besides:
    `group` (`name`, `state`, `members`, `idle_members`), `oldest_age_seconds`, `oldest_since_ms`,
    `oldest_since`, `closes_in_seconds`, `lost`, `without_offset`. Of a lane: `ready`, `overdue`
    and `due` (pairs of epoch seconds and jobs). Of dead letters: `letters` by state, where an exporter
    counts them. Of a tier: `next_due_ms`, `next_due` and
    `overdue_seconds`. Of a partition: `partition`, `start`, `end`, `commit_point`,
    `finished_above`, `ready`, `running`, and of the same names; what an open transaction hides is
    `hidden` from `hidden_from` on. What is not known is null.
    """
    return {
        "pipeline": report.pipeline,
        **both_times("at", report.at),
        "verdict": report.verdict.value,
        "lanes": [_topic(report, lane) for lane in report.lanes],
        "tiers": [_topic(report, tier) for tier in report.tiers],
        "dead_letters": [_topic(report, dead) for dead in report.dead_letters],
        "notes": list(report.notes),
    }


def _topic(report: LagReport, found: TopicLag) -> dict[str, object]:
    told: dict[str, object] = {
        "topic": found.topic,
        "exists": bool(found.partitions),
        "verdict": found.finding.verdict.value,
        "why": found.finding.why,
        "messages": found.messages,
        "exact": found.exact,
        "rate_in": found.rate_in,
        "rate_out": found.rate_out,
        **both_times("last_commit", found.last_commit),
        "retention_used": found.retention_used,
    }
    if found.group is not None:
        told |= _worked_on(report, found)
    if found.role is Role.DEAD_LETTERS:
        told["letters"] = None if found.letters is None else dict(found.letters)
    if found.role is Role.LANE:
        told |= {"ready": found.ready, "overdue": found.overdue, "due": _due(found.due)}
    told["partitions"] = [_partition(report, found.role, part) for part in found.partitions]
    return told


def _worked_on(report: LagReport, found: TopicLag) -> Mapping[str, object]:
    group = found.group
    assert group is not None
    return {
        "group": {
            "name": group.name,
            "state": group.state,
            "members": group.members,
            "idle_members": group.idle,
        },
        **_ages(report, found.role, found),
        "closes_in_seconds": found.closes_in,
        "lost": found.lost,
        "without_offset": list(found.without_offset),
    }


def _ages(report: LagReport, role: Role, found: TopicLag | PartitionLag) -> Mapping[str, object]:
    told: dict[str, object] = {
        "oldest_age_seconds": report.age(found.since),
        **both_times("oldest_since", found.since),
    }
    if role is Role.TIER:
        told |= both_times("next_due", found.next_due)
        told["overdue_seconds"] = report.overdue(found)
    return told


def _due(due: LaneDue | None) -> list[list[int]] | None:
    return None if due is None else [list(slot) for slot in due.slots]


def _partition(report: LagReport, role: Role, found: PartitionLag) -> dict[str, object]:
    told: dict[str, object] = {
        "partition": found.partition,
        "verdict": found.finding.verdict.value,
        "why": found.finding.why,
        "start": found.start,
        "end": found.end,
        "messages": found.messages,
        "exact": found.exact,
        "rate_in": found.progress.rate_in,
        "hidden": 0 if found.held is None else found.held.records,
        "hidden_from": None if found.held is None else found.held.offset,
    }
    if role is Role.DEAD_LETTERS:
        return told
    if role is Role.LANE:
        told["ready"] = found.ready
        told["running"] = None if found.running is None else found.running.jobs
    return told | {
        "commit_point": found.commit_point,
        "finished_above": found.finished,
        "lost": found.lost,
        **_ages(report, role, found),
        "rate_out": found.progress.rate_out,
        **both_times("last_commit", found.progress.moved),
        "retention_used": found.retention_used,
    }
