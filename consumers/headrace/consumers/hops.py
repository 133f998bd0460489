"""Moving on from one delay tier to another: which one, and what is handed over."""

from datetime import timedelta

from headrace.consumers.settled import HandOver, Settled
from headrace.consumers.waiting import DelayedRecord
from headrace.pipeline.topology import ARRIVAL, SOON_HORIZON, TIMED_TIERS, Tier, Topology, tier_for
from headrace.schemas.headers import HOPPED

SPILL_TIER = TIMED_TIERS[0]
"""The shortest tier that a record can be put into when memory is short."""


def next_tier(record: DelayedRecord, now: int) -> Tier:
    """Choose where a record goes on waiting when its tier's time is over."""
    return tier_for(_left(record, now))


def spill_tier(record: DelayedRecord, now: int) -> Tier:
    """Choose where a record waits that memory has no room for: `SOON_HORIZON` at most.

    It must not be due before the wait of `SPILL_TIER` is over.
    """
    longest = min(timedelta(milliseconds=_left(record, now)) - ARRIVAL, SOON_HORIZON)
    return next((tier for tier in reversed(TIMED_TIERS) if tier.wait <= longest), SPILL_TIER)


def hop(record: DelayedRecord, tier: Tier, topology: Topology, now: int) -> Settled:
    """Put a record into another tier. The job's state does not change, so nothing is told."""
    following = record.following()
    if not tier.is_soon:
        following.append((HOPPED, b"%d" % now))
    handover = HandOver("hop", topology.tier(tier), record.key, record.payload, following)
    return Settled(record.assignment, record.offset, None, handover)


def _left(record: DelayedRecord, now: int) -> int:
    return max(0, record.due - now)
