"""What the ledger costs: python -m benchmarks.ledger [jobs].

Prints microseconds per job for start and finish alone, the same with a look at `full` and a
commit each hundred jobs, and how large the metadata gets. The cost of the driving loop itself
is measured with a ledger that does nothing, and taken off.
"""

import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from headrace.consumers.commit_metadata import CommitMetadata, State, decode, encode
from headrace.consumers.finished_map import ranges_between
from headrace.consumers.ledger import PartitionLedger

TURN = 100
"""Jobs between two commits: a lane's turn under load."""

NOTE = CommitMetadata(State.OPEN, 0, 20_000, "shop.default.high-worker-3-1")


class NoLedger:
    """The floor: the same calls, nothing behind them."""

    def start(self, offset: int) -> bool:
        return True

    def finish(self, offset: int) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Scenario:
    """Offsets to start and to finish: a step with a negative number finishes ~number."""

    name: str
    jobs: int
    steps: list[int]


@dataclass(frozen=True, slots=True)
class Figures:
    bare: float  # microseconds a job: start and finish
    with_commits: float  # the same, with `full` and a commit per turn
    characters: int  # the longest metadata seen
    commit: float  # microseconds per commit


def in_order(jobs: int) -> Scenario:
    steps = [step for offset in range(jobs) for step in (offset, ~offset)]
    return Scenario("in order, one in flight", jobs, steps)


def shuffled(jobs: int, in_flight: int) -> Scenario:
    rng = random.Random(7)
    flying: list[int] = []
    steps: list[int] = []
    for offset in range(jobs):
        steps.append(offset)
        flying.append(offset)
        if len(flying) >= in_flight:
            at = rng.randrange(in_flight)
            flying[at], flying[-1] = flying[-1], flying[at]
            steps.append(~flying.pop())
    steps += [~offset for offset in flying]
    return Scenario(f"{in_flight:,} in flight, random order", jobs, steps)


def stuck_head(jobs: int, in_flight: int) -> Scenario:
    """Offset 0 finishes last."""
    inner = shuffled(jobs - 1, in_flight)
    steps = [0, *(step + 1 if step >= 0 else step - 1 for step in inner.steps), ~0]
    return Scenario(f"one stuck before {jobs - 1:,}, {in_flight:,} in flight", jobs, steps)


def drive(ledger: PartitionLedger | NoLedger, steps: list[int]) -> float:
    start, finish = ledger.start, ledger.finish
    begin = time.perf_counter()
    for step in steps:
        if step >= 0:
            start(step)
        else:
            finish(~step)
    return time.perf_counter() - begin


def drive_with_commits(scenario: Scenario) -> tuple[float, int, int]:
    """Seconds, commits, and the characters of the longest metadata."""
    ledger = PartitionLedger(0, note=NOTE)
    longest = commits = 0
    seconds = 0.0
    for turn in turns(scenario.steps):
        seconds += drive(ledger, turn)
        begin = time.perf_counter()
        _ = ledger.full
        commit = ledger.commit()
        if commit is not None:
            ledger.committed(commit)
        seconds += time.perf_counter() - begin
        if commit is not None:
            commits += 1
            longest = max(longest, len(commit.metadata))
    return seconds, commits, longest


def turns(steps: list[int]) -> Iterator[list[int]]:
    for at in range(0, len(steps), TURN * 2):
        yield steps[at : at + TURN * 2]


def measure(scenario: Scenario) -> Figures:
    per_job = 1e6 / scenario.jobs
    floor = best(lambda: drive(NoLedger(), scenario.steps))
    bare = best(lambda: drive(PartitionLedger(0), scenario.steps))
    seconds, commits, longest = min(drive_with_commits(scenario) for _ in range(3))
    return Figures(
        bare=(bare - floor) * per_job,
        with_commits=(seconds - floor) * per_job,
        characters=longest,
        commit=(seconds - bare) * 1e6 / commits,
    )


def best(run: Callable[[], float]) -> float:
    return min(run() for _ in range(3))


def codec_lines() -> Iterator[str]:
    rng = random.Random(7)
    for name, span, share in (
        ("alternating", 24_000, None),
        ("every second one at random", 24_000, 0.5),
        ("one of ten unfinished at random", 24_000, 0.9),
        ("one of a thousand unfinished at random", 1_000_000, 0.999),
    ):
        unfinished = [
            at for at in range(1, span) if (at % 2 if share is None else rng.random() > share)
        ]
        finished = tuple(ranges_between(0, unfinished, span))
        begin = time.perf_counter()
        text = encode(CommitMetadata(finished=finished), 0)
        middle = time.perf_counter()
        decode(text, 0)
        end = time.perf_counter()
        yield (
            f"{name + f', {span:,} offsets':<54}{len(text):>7,}"
            f"{(middle - begin) * 1e3:>10.2f}{(end - middle) * 1e3:>10.2f}"
        )


def main() -> None:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(f"{f'{jobs:,} jobs':<44}{'us/job':>8}{'+commits':>10}{'us/commit':>11}{'chars':>7}")
    for scenario in (
        in_order(jobs),
        shuffled(jobs, 1_000),
        stuck_head(jobs + 1, 1),
        stuck_head(jobs + 1, 1_000),
        stuck_head(jobs + 1, 2_000),
    ):
        figures = measure(scenario)
        print(
            f"{scenario.name:<44}{figures.bare:>8.2f}{figures.with_commits:>10.2f}"
            f"{figures.commit:>11.1f}{figures.characters:>7,}"
        )
    print(f"\n{'metadata':<54}{'chars':>7}{'write ms':>10}{'read ms':>10}")
    for line in codec_lines():
        print(line)


if __name__ == "__main__":
    main()
