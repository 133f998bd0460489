"""What a run submits and which faults come when: all of it from one seed."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.console.proof.plans import ALWAYS, Plan
from headrace.console.proof.records import CALM, Kind
from headrace.schemas.errors import HeadraceError

SCENARIOS: Final[dict[str, tuple[Kind, ...]]] = {
    "kill": (Kind.KILL, Kind.KILL_GROUP, Kind.KILL_SCHEDULER),
    "zombie": (Kind.STOP_CONT,),
    "broker": (Kind.BROKER_KILL,),
    "network": (Kind.NETWORK_CUT, Kind.NETWORK_SLOW),
    "storm": (Kind.REBALANCE_STORM,),
    "dlq": (Kind.DLQ_FULL,),
    "all": tuple(Kind),
    CALM: (),
}
"""Which kinds of faults a scenario makes."""
NEED_OWN_BROKER: Final = frozenset({Kind.BROKER_KILL, Kind.NETWORK_CUT, Kind.NETWORK_SLOW})
"""What cannot be done to somebody else's cluster."""
_COMBINED: Final = (
    (Kind.KILL, Kind.KILL),
    (Kind.KILL, Kind.KILL_SCHEDULER),
    (Kind.STOP_CONT, Kind.KILL_GROUP),
    (Kind.KILL, Kind.BROKER_KILL),
    (Kind.NETWORK_CUT, Kind.KILL),
    (Kind.STOP_CONT, Kind.NETWORK_SLOW),
    (Kind.KILL, Kind.STOP_CONT, Kind.KILL_SCHEDULER),
    (Kind.KILL_GROUP, Kind.KILL, Kind.STOP_CONT),
)
"""What comes at once in a fault of kind `several`."""
_KEYS: Final = 40
_LONGEST_DELAY: Final = 20_000
_HOP: Final = 65_000
"""Milliseconds after which a delay goes through a timed tier first."""


class ScenarioError(HeadraceError):
    """A scenario that does not exist, or that cannot be played here."""


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """One submission to come.

    Attributes:
        job_type: Of the workload.
        priority: None for the job type's own.
        key: The ordering key; empty when none is given.
        seq: 0, 1, 2 … per key; -1 without one.
        delay: Milliseconds before it may start; 0 for at once.
        snooze: Milliseconds after that at which it wants to come back; 0 for not at all.
        plan: What the handler does, less the moment of a snooze.
    """

    job_type: str
    priority: str | None
    key: str
    seq: int
    delay: int
    snooze: int
    plan: Plan


class JobStream:
    """Endless jobs: a quarter is retried, one in eight is delayed, one in three has a key.

    Args:
        seed: Same seed, same jobs.
        ordered: Whether there is an ordered queue.
        hops: Whether some delays are longer than a minute, so that they pass a timed tier.
    """

    def __init__(self, seed: int, *, ordered: bool, hops: bool) -> None:
        self._chance = random.Random(f"jobs {seed}")
        self._ordered = ordered
        self._hops = hops
        self._seqs: Counter[tuple[str, str]] = Counter()

    def __iter__(self) -> Iterator[PlannedJob]:
        """Draw the next jobs."""
        while True:
            yield self._next()

    def _next(self) -> PlannedJob:
        chance = self._chance
        job_type, priority = self._type()
        in_turn = job_type == "in-turn"
        key, seq = self._key(job_type, priority) if in_turn or chance.random() < 0.2 else ("", -1)
        # Order is that of arrival on the lane, which is no longer that of submission once some
        # of a key's jobs wait in the tiers.
        delay = 0 if in_turn or chance.random() >= 0.18 else self._delay()
        snooze = chance.randint(300, 1_500) if chance.random() < 0.04 else 0
        return PlannedJob(job_type, priority, key, seq, delay, snooze, self._plan())

    def _type(self) -> tuple[str, str | None]:
        drawn = self._chance.random()
        if drawn < 0.06:
            return "child", None
        if drawn < 0.26 and self._ordered:
            return "in-turn", None
        job_type = "plain" if drawn < 0.40 else "work"
        return job_type, "high" if self._chance.random() < 0.3 else "normal"

    def _key(self, job_type: str, priority: str | None) -> tuple[str, int]:
        key = f"key-{self._chance.randrange(_KEYS)}"
        place = ("slow" if job_type == "child" else priority or job_type, key)
        seq = self._seqs[place]
        self._seqs[place] += 1
        return key, seq

    def _delay(self) -> int:
        if self._hops and self._chance.random() < 0.04:
            return self._chance.randint(_HOP, _HOP + 15_000)
        return self._chance.randint(200, _LONGEST_DELAY)

    def _plan(self) -> Plan:
        chance = self._chance
        kind, length = chance.random(), chance.random()
        sleep = (
            chance.randint(2, 60)
            if length < 0.7
            else chance.randint(100, 400) if length < 0.92 else chance.randint(500, 2_500)
        )  # fmt: skip
        failures = ALWAYS if kind < 0.03 else 2 if kind < 0.09 else 1 if kind < 0.26 else 0
        large = chance.random()
        return Plan(
            sleep=sleep,
            failures=failures,
            pad=chance.randint(20_000, 200_000) if large < 0.01 else 0,
            result=chance.randint(500, 4_000) if large > 0.95 else 0,
        )


def kinds_of(scenario: str, *, own_broker: bool) -> tuple[tuple[Kind, ...], tuple[Kind, ...]]:
    """Give the kinds of a scenario that can be made, and those that cannot.

    Raises:
        ScenarioError: There is no such scenario, or nothing of it can be made.
    """
    if scenario not in SCENARIOS:
        raise ScenarioError(f"there is no scenario {scenario!r}; there are: {', '.join(SCENARIOS)}")
    wanted = SCENARIOS[scenario]
    skipped = () if own_broker else tuple(kind for kind in wanted if kind in NEED_OWN_BROKER)
    possible = tuple(kind for kind in wanted if kind not in skipped)
    if wanted and not possible:
        raise ScenarioError(
            f"scenario {scenario!r} needs a broker of its own to kill or to cut off: leave out "
            "--bootstrap and HEADRACE_BOOTSTRAP_SERVERS, or choose another scenario"
        )
    return possible, skipped


class FaultStream:
    """Endless faults: every kind once, in an order drawn from the seed, then again.

    Args:
        seed: Same seed, same faults in the same order.
        kinds: What can be made; none gives no faults.
    """

    def __init__(self, seed: int, kinds: Sequence[Kind]) -> None:
        self.chance = random.Random(f"faults {seed}")
        self.kinds = tuple(kinds)

    def __iter__(self) -> Iterator[Kind]:
        """Draw the next kinds."""
        while self.kinds:
            yield from self.chance.sample(self.kinds, len(self.kinds))

    def combination(self) -> tuple[Kind, ...]:
        """Draw what comes at once."""
        possible = [each for each in _COMBINED if set(each) <= set(self.kinds)]
        return self.chance.choice(possible)


@dataclass(frozen=True, slots=True)
class Pace:
    """How many faults, and how they are spread.

    Attributes:
        count: So many are begun; None for as many as there is time for.
        seconds: The time over which they are spread.
        gap: Seconds between two beginnings at least.
    """

    count: int | None
    seconds: float
    gap: float = 6.0

    def earliest(self, number: int) -> float:
        """Seconds after the beginning at which fault `number` (0 is the first) may begin."""
        return number * self.seconds / self.count if self.count else number * self.gap
