"""What KEDA's kafka trigger makes of a group's offsets.

The rules are those of KEDA 2.21, pkg/scalers/kafka_scaler.go (`getLagForPartition`, `getTotalLag`), and
of what was seen on a real one. Without `excludePersistentLag`, which nobody should use
(docs/scaling.md), nothing is remembered from one reading to the next.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Reset(StrEnum):
    """What counts where no offset is committed: the trigger's `offsetResetPolicy`."""

    EARLIEST = "earliest"
    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class PartitionOffsets:
    """What Kafka says of one partition.

    Attributes:
        partition: Its number.
        start: The first offset that is kept.
        end: The offset that the next record gets; open transactions are below it.
        committed: The group's offset; None without one.
    """

    partition: int
    start: int
    end: int
    committed: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a trigger told at one moment.

    Attributes:
        lags: What it counted for each partition, in their order.
        lag: Their sum.
        balanced: The divisor of the partitions that even distribution rounded up to; None when it is
            off.
        bound: Pods that the metric may ask for at most; None when nothing bounds it.
        metric: What the autoscaler is told.
        active: Whether there is anything to do.
    """

    lags: tuple[int, ...]
    lag: int
    balanced: int | None
    bound: int | None
    metric: int
    active: bool


@dataclass(frozen=True, slots=True)
class KafkaTrigger:
    """A trigger of type `kafka` on one topic.

    Attributes:
        threshold: Records for each pod, `lagThreshold`.
        activation: More lag than this is something to do.
        even: `ensureEvenDistributionOfPartitions`.
        only_lagging: `limitToPartitionsWithLag`.
        idle_allowed: `allowIdleConsumers`: more pods than partitions.
        reset: `offsetResetPolicy`.
        invalid_is_zero: `scaleToZeroOnInvalidOffset`.
    """

    threshold: int
    activation: int = 0
    even: bool = True
    only_lagging: bool = False
    idle_allowed: bool = False
    reset: Reset = Reset.EARLIEST
    invalid_is_zero: bool = False

    def read(self, offsets: Iterable[PartitionOffsets]) -> Reading:
        """Say what it tells of these partitions, which are all that the topic has."""
        return self.tell([self.lag_of(each) for each in offsets])

    def tell(self, lags: Iterable[int]) -> Reading:
        """Say what it tells when it counted so much for each partition."""
        found = tuple(lags)
        lag = metric = sum(found)
        balanced, bound = None, None
        if self.even or self.only_lagging or not self.idle_allowed:
            bound = len(found)
            if self.even:
                balanced = next_divisor(lag, len(found), self.threshold)
                metric = balanced * self.threshold
            if self.only_lagging:
                bound = sum(each > 0 for each in found)
            # In whole pods, while the autoscaler rounds up: one more than the bound may come of it
            if metric // self.threshold > bound:
                metric = bound * self.threshold
        return Reading(found, lag, balanced, bound, metric, lag > self.activation)

    def lag_of(self, offsets: PartitionOffsets) -> int:
        """Say how much it counts for one partition.

        A commit below the start counts what was deleted; one beyond the end counts below zero.
        """
        if offsets.committed is not None:
            return offsets.end - offsets.committed
        if self.invalid_is_zero:
            return 0
        return 1 if self.reset is Reset.LATEST else max(0, offsets.end - offsets.start)


def next_divisor(lag: int, partitions: int, threshold: int) -> int:
    """Give the least divisor of the partitions with room for the lag; all of them when none has.

    So that each pod has as many partitions as any other. 1 at least, also without lag.
    """
    divisors = (n for n in range(1, partitions + 1) if partitions % n == 0)
    return next((n for n in divisors if n * threshold >= lag), partitions)
