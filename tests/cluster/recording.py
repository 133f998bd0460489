"""What happened on a cluster, second by second: what came, what waited, what was decided, who worked.

The file has what KEDA's and the autoscaler's arithmetic goes in with, and what came out of the real ones.
"""

import csv
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from pathlib import Path

from headrace.processors.lag.measuring import LagReader
from headrace.processors.lag.report import LagReport
from tests.cluster.trial import LANE, Trial

EVERY = 0.5
"""Seconds between two looks, at least."""


@dataclass(frozen=True)
class Moment:
    """One look.

    Attributes:
        at: Seconds since the recording began.
        submitted: Jobs submitted so far.
        ready: Jobs that are due and not started.
        lag: Records of each partition that the group has not committed: what KEDA counts.
        replicas: Pods that the Deployment should have.
        current: Pods that the autoscaler counted when it last decided; None before it has.
        desired: Pods that it then wanted; None likewise.
        metric: What it was told for each pod; None likewise.
        active: Whether KEDA sees anything to do.
        workers: Worker processes that run.
    """

    at: float
    submitted: int
    ready: int
    lag: tuple[int, ...]
    replicas: int
    current: int | None
    desired: int | None
    metric: str | None
    active: bool
    workers: int


class Recording:
    """Looks at a trial again and again, from a thread of its own.

    Args:
        trial: What to look at.
        submitted: Tells how many jobs were submitted so far.
        workers: Tells how many processes run.
    """

    def __init__(
        self, trial: Trial, submitted: Callable[[], int], workers: Callable[[], int]
    ) -> None:
        self._trial = trial
        self._submitted = submitted
        self._workers = workers
        self._ended = threading.Event()
        self._began = time.monotonic()
        self.moments: list[Moment] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        reader = LagReader(self._trial.stage.pipeline, self._trial.stage.kafka)
        try:
            while not self._ended.wait(EVERY):
                self.moments.append(self._moment(reader.read()))
        except BaseException as error:
            self.failure = error
        finally:
            reader.close()

    def stop(self) -> None:
        self._ended.set()

    def _moment(self, report: LagReport) -> Moment:
        topic = self._trial.stage.topic(LANE)
        [lane] = [each for each in report.topics if each.topic == topic]
        at, seen = time.monotonic() - self._began, self._trial.seen()
        return Moment(
            round(at, 2),
            self._submitted(),
            lane.ready,
            tuple(each.end - (each.commit_point or each.start) for each in lane.partitions),
            seen.replicas,
            seen.current,
            seen.desired,
            seen.metric,
            seen.active,
            self._workers(),
        )


@contextmanager
def recording(
    trial: Trial, submitted: Callable[[], int], workers: Callable[[], int]
) -> Iterator[Recording]:
    """Record for the length of the block."""
    found = Recording(trial, submitted, workers)
    thread = threading.Thread(target=found.run, name="recording")
    thread.start()
    try:
        yield found
    finally:
        found.stop()
        thread.join()
    if found.failure:
        raise found.failure


@dataclass(frozen=True)
class Recorded:
    """What a file holds.

    Attributes:
        sync: How often the cluster's autoscaler decided.
        moments: What was seen.
    """

    sync: timedelta
    moments: list[Moment]

    def write(self, file: Path) -> None:
        """Write a CSV file, a line for each moment; partitions stand in one field, apart by spaces."""
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w", newline="") as text:
            text.write(f"{_HEAD}{self.sync.total_seconds():g}\n")
            names = [each.name for each in fields(Moment)]
            lines = csv.DictWriter(text, names, lineterminator="\n")
            lines.writeheader()
            for moment in self.moments:
                lines.writerow(asdict(moment) | {"lag": " ".join(map(str, moment.lag))})

    @classmethod
    def read(cls, file: Path) -> "Recorded":
        """Read what `write` wrote."""
        with file.open(newline="") as text:
            seconds = float(next(text).removeprefix(_HEAD))
            moments = [_moment(row) for row in csv.DictReader(text)]
        return cls(timedelta(seconds=seconds), moments)


_HEAD = "# seconds between two decisions of the autoscaler: "


def _moment(row: dict[str, str]) -> Moment:
    def number(name: str) -> int | None:
        return int(row[name]) if row[name] else None

    return Moment(
        float(row["at"]),
        int(row["submitted"]),
        int(row["ready"]),
        tuple(int(each) for each in row["lag"].split()),
        int(row["replicas"]),
        number("current"),
        number("desired"),
        row["metric"] or None,
        row["active"] == "True",
        int(row["workers"]),
    )
