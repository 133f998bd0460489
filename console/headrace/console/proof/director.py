"""Makes the faults of a run: which, when, several at once, and writes down each."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from math import ceil
from random import Random
from typing import Final, TypeVar

from confluent_kafka import KafkaException

from headrace.console.proof import more_faults, network_faults, process_faults
from headrace.console.proof.fault import Fault
from headrace.console.proof.records import Fault as FaultRecord
from headrace.console.proof.records import Kind
from headrace.console.proof.run_folder import RunFolder
from headrace.console.proof.scene import Scene
from headrace.console.proof.seeded import FaultStream, Pace
from headrace.schemas.errors import HeadraceError

MADE: Final[dict[Kind, type[Fault]]] = {
    kind.kind: kind
    for kind in (
        process_faults.Kill,
        process_faults.KillGroup,
        process_faults.StopCont,
        process_faults.KillScheduler,
        network_faults.BrokerKill,
        network_faults.NetworkCut,
        network_faults.NetworkSlow,
        more_faults.RebalanceStorm,
        more_faults.DlqFull,
    )
}
_ALONE: Final = frozenset({Kind.BROKER_KILL, Kind.SEVERAL})
"""What no other fault runs beside: else no takeover could be measured."""
_OF_MEMBERS: Final = frozenset(
    {Kind.KILL, Kind.KILL_GROUP, Kind.STOP_CONT, Kind.NETWORK_CUT, Kind.REBALANCE_STORM}
)
"""What makes partitions change hands: one at a time, but for `several`, for the same reason."""
_BESIDE: Final = 2
"""Faults of other kinds that run at a time, each on workers of its own."""
_SHARE: Final = 1.34
"""Every kind is made this much less often than the average at least: those that are part of
`several` come more often."""
_SLOT: Final = 0.05


class Director:
    """Makes faults from a stream until told to stop, or until there were enough.

    Args:
        scene: What they act on.
        stream: Which come.
        folder: Where each is noted.
        pace: How many and how fast.
        tell: Told a line when a fault could not be made.
    """

    def __init__(
        self,
        scene: Scene,
        stream: FaultStream,
        folder: RunFolder,
        pace: Pace,
        tell: Callable[[str], None],
    ) -> None:
        self._scene = scene
        self._stream = stream
        self._folder = folder
        self._pace = pace
        self._tell = tell
        self._lock = threading.Lock()
        self._numbers = iter(range(1, 1_000_000))
        self._now: list[Kind] = []
        self._begun = 0
        self.errors: list[BaseException] = []
        self.made: Counter[Kind] = Counter()
        self.over = threading.Event()
        """Set when no more are begun and all have ended."""
        self.enough = threading.Event()
        """Set to have no more begun."""

    @property
    def now(self) -> tuple[Kind, ...]:
        """What is going on."""
        return tuple(self._now)

    def run(self) -> None:
        """Make faults; to be run in a thread of its own."""
        try:
            with (
                ThreadPoolExecutor(_BESIDE, thread_name_prefix="proof-fault") as pool,
                suppress(InterruptedError),
            ):
                for kind in self._due():
                    pool.submit(self._one, kind, Random(self._stream.chance.random()))
        except BaseException as error:
            self.errors.append(error)
        finally:
            self.over.set()

    def _due(self) -> Iterator[Kind]:
        began = time.monotonic()
        for kind in self._stream:
            while not self._may_begin(kind, time.monotonic() - began):
                if self.enough.is_set() or self._count_reached():
                    return
                self._scene.wait(_SLOT)
            self._begun += 1
            self._now.append(kind)
            yield kind

    def _count_reached(self) -> bool:
        wanted = self._pace.count
        if wanted is None:
            return False
        kinds = self._stream.kinds
        each = ceil(wanted / (_SHARE * len(kinds)))
        return self.made.total() >= wanted and all(self.made[kind] >= each for kind in kinds)

    def _may_begin(self, kind: Kind, elapsed: float) -> bool:
        going_on = self.now
        if elapsed < self._pace.earliest(self._begun) or self.enough.is_set():
            return False
        if self._count_reached():
            return False
        if kind in _ALONE:
            return not going_on
        if _ALONE.intersection(going_on) or len(going_on) >= _BESIDE or kind in going_on:
            return False
        return kind not in _OF_MEMBERS or not _OF_MEMBERS.intersection(going_on)

    # -- one fault ---------------------------------------------------------------------------------

    def _one(self, kind: Kind, chance: Random) -> None:
        try:
            if kind is Kind.SEVERAL:
                self._several(chance)
            else:
                self._together([MADE[kind](self._scene, chance)])
        except InterruptedError:
            pass
        except (HeadraceError, KafkaException, OSError) as error:
            self._tell(f"no {kind} this time: {error}")
        except BaseException as error:
            self.errors.append(error)
            self._tell(f"{kind} failed: {error!r}")
        finally:
            self._now.remove(kind)

    def _several(self, chance: Random) -> None:
        kinds = sorted(self._stream.combination(), key=lambda kind: kind is Kind.BROKER_KILL)
        began = time.time_ns()
        parts = self._together(
            [MADE[kind](self._scene, Random(chance.random()), alone=False) for kind in kinds]
        )
        note = " + ".join(f"{kind} ({number})" for kind, number in zip(kinds, parts, strict=True))
        self._note(FaultRecord(self._number(), Kind.SEVERAL, began, time.time_ns(), note=note))

    def _together(self, parts: Sequence[Fault]) -> list[int]:
        """Prepare all, strike all at once, recover all; gives their numbers."""
        prepared: list[tuple[Fault, int]] = []
        try:
            for part in parts:
                began = time.time_ns()
                self._prepare(part, began)
                prepared.append((part, began))
        finally:
            if len(prepared) < len(parts):
                _each(lambda part: self._recovered(*part), prepared)
        try:
            _each(lambda part: part[0].strike(), prepared)
        finally:
            numbers = _each(lambda part: self._recovered(*part), prepared)
        return numbers

    def _prepare(self, part: Fault, began: int) -> None:
        try:
            part.prepare()
        except BaseException:
            part.abandon()
            if part.seen.workers:  # it had been stopped, for however long
                stopped = replace(_record(self._number(), part, began), kind=Kind.STOP_CONT)
                self._note(replace(stopped, note="not what it was to be: it only slept"))
            raise

    def _recovered(self, fault: Fault, began: int) -> int:
        number = self._number()
        try:
            fault.recover()
        finally:
            self._note(_record(number, fault, began))
        return number

    def _number(self) -> int:
        with self._lock:
            return next(self._numbers)

    def _note(self, record: FaultRecord) -> None:
        with self._lock:
            self.made[record.kind] += 1
            self._folder.append_fault(record)


_Part = TypeVar("_Part")
_Answer = TypeVar("_Answer")


def _each(do: Callable[[_Part], _Answer], parts: Sequence[_Part]) -> list[_Answer]:
    """Do it for all at the same time; raises the first error when all have ended."""
    with ThreadPoolExecutor(max(1, len(parts)), thread_name_prefix="proof-part") as pool:
        return [answer.result() for answer in [pool.submit(do, part) for part in parts]]


def _record(number: int, fault: Fault, began: int) -> FaultRecord:
    seen = fault.seen
    return FaultRecord(
        number=number,
        kind=fault.kind,
        began_ns=began,
        ended_ns=seen.ended_ns or time.time_ns(),
        workers=seen.workers,
        in_flight=seen.in_flight,
        committed=seen.committed,
        snapshot_ns=seen.snapshot_ns,
        woken_ns=seen.woken_ns,
        note=seen.note,
        first_job_after_ms=seen.takeover.first_ms,
        last_partition_after_ms=seen.takeover.last_ms,
    )
