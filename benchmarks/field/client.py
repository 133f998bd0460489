"""How jobs are submitted, in a system's own environment: `python -m benchmarks.field.client JSON`.

The module that is named gives a `Client`; what is timed here is the same for all. The last line of
the output is JSON.
"""

import asyncio
import importlib
import itertools
import json
import resource
import sys
import time
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from benchmarks.field.calls import Call, calls
from benchmarks.field.work import setting

BATCH = 1_000
_WINDOW = 100
"""Submissions that a client with coroutines has under way at a time."""


@dataclass(frozen=True)
class Order:
    """What to submit, and how.

    Attributes:
        app: The module in `benchmarks.field.apps`.
        mode: `stream` as fast as the client can, `single` each confirmed before the next, `batch`
            1,000 at a time, `paced` at a rate.
        warm: How many to submit before the clock starts; they count as jobs of the run.
        rate: Jobs a second, when paced.
        seconds: After so long no more are submitted; 0 for no limit.
    """

    app: str
    mode: str
    kind: str
    count: int
    first: int = 0
    warm: int = 0
    rate: float = 0
    keys: int = 0
    priority: str | None = None
    seconds: float = 0


class Client(Protocol):
    """A system's own way to submit, through its public API."""

    def stream(self, given: Iterable[Call]) -> None:
        """Submit as fast as the system offers, and wait until the broker has all."""
        ...

    def single(self, call: Call) -> None:
        """Submit one, and wait until the broker has it."""
        ...

    def send(self, call: Call) -> None:
        """Submit one; the broker may get it a little later, without further calls."""
        ...

    def batch(self, given: Sequence[Call]) -> None:
        """Submit some together, and wait until the broker has them."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class PlainClient:
    """For systems that submit one by one and have an answer each time."""

    def single(self, call: Call) -> None:
        """As each system does it."""
        raise AssertionError(f"{type(self).__name__} does not say how it submits")

    def send(self, call: Call) -> None:
        """The same, by default."""
        self.single(call)

    def stream(self, given: Iterable[Call]) -> None:
        """One after the other, by default."""
        for call in given:
            self.single(call)

    def batch(self, given: Sequence[Call]) -> None:
        """One after the other, by default."""
        self.stream(given)

    def close(self) -> None:
        """Nothing, by default."""


class LoopClient(PlainClient):
    """For systems whose API is made of coroutine functions."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    async def submit(self, call: Call) -> None:
        """As each system does it."""
        raise AssertionError(f"{type(self).__name__} does not say how it submits")

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run to the end."""
        return self.loop.run_until_complete(coroutine)

    def single(self, call: Call) -> None:
        """Submit one, and wait."""
        self.run(self.submit(call))

    def stream(self, given: Iterable[Call]) -> None:
        """Submit some side by side."""
        self.run(self._windows(iter(given)))

    async def _windows(self, left: Iterable[Call]) -> None:
        while window := list(itertools.islice(left, _WINDOW)):
            await asyncio.gather(*(self.submit(call) for call in window))


class Counted:
    """Gives calls until time is up, and knows how many."""

    def __init__(self, given: Iterator[Call], seconds: float) -> None:
        self._given = given
        self._end = time.monotonic() + seconds if seconds else None
        self.count = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Call:
        if self._end is not None and time.monotonic() > self._end:
            raise StopIteration
        call = next(self._given)
        self.count += 1
        return call


def drive(client: Client, order: Order) -> dict[str, float]:
    """Submit what is ordered, and tell what it took."""
    all_of_them = calls(
        order.kind, order.first, order.count, keys=order.keys, priority=order.priority
    )
    given = Counted(all_of_them, order.seconds)
    client.stream(itertools.islice(given, order.warm))
    begin, cpu, start = time.perf_counter(), time.process_time(), time.time_ns()
    if order.mode == "stream":
        client.stream(given)
    elif order.mode == "single":
        for call in given:
            client.single(call)
    elif order.mode == "batch":
        while some := list(itertools.islice(given, BATCH)):
            client.batch(some)
    else:
        start = pace(client, given, order.rate)
    seconds, spent = time.perf_counter() - begin, time.process_time() - cpu
    timed = given.count - order.warm
    return {
        "submitted": given.count,
        "jobs": timed,
        "seconds": seconds,
        "per_s": timed / seconds,
        "cpu_us_per_job": spent / timed * 1e6,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "start_ns": start,
    }


def pace(client: Client, given: Iterable[Call], rate: float) -> int:
    """Submit at a rate; gives when the first one was meant to be. Late ones are not skipped."""
    start = time.time_ns() + 50_000_000
    for place, call in enumerate(given):
        intended = start + int(place * 1e9 / rate)
        time.sleep(max(0.0, (intended - time.time_ns()) / 1e9))
        client.send(call)
    return start


def main() -> None:
    """Submit, or do what else the argument says, and print the answer."""
    wanted = json.loads(sys.argv[1])
    action = wanted.pop("action")
    app = importlib.import_module(f"benchmarks.field.apps.{wanted['app']}")
    if action == "submit":
        client: Client = app.Client(setting("URL"), setting("NAME"))
        answer = json.dumps(drive(client, Order(**wanted)))
        client.close()
    else:
        answer = str(getattr(app, action, lambda: None)())
    print(answer)


if __name__ == "__main__":
    main()
