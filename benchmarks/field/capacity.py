"""docs/capacity.md: brokers, workers, partitions and money by rate, from what was measured.

`python -m benchmarks.field.capacity`. What is assumed stands in the page beside what was measured.
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

from benchmarks.field import tables
from benchmarks.field.results import Results
from benchmarks.field.run import RESULTS
from benchmarks.field.summary import Row, find, rows

TARGET = Path("docs/capacity.md")
RATES = (10_000, 100_000, 1_000_000)
_HEAD = """# Capacity

Made by `make bench-report` from the results of `make bench`, never by hand. What handlers do comes on top: jobs that
burn 5 ms of CPU need 5 cores for each 1,000 a second, jobs that wait need none, only a higher concurrency.
Traffic between zones and people are not in the price.
"""
_HOURS = 730
_DAY = 86_400


@dataclass(frozen=True)
class Costs:
    """What one job costs, as measured.

    Attributes:
        submit_cpu: Seconds of a client.
        worker_cpu: Seconds of a worker, when the handler does nothing.
        broker_cpu: Seconds of a broker with one replica.
        lane_bytes: Of a record on its lane, compressed.
        partition_rate: Jobs a second that one partition carried.
        process_rate: Jobs a second that one worker process ran.
    """

    submit_cpu: float
    worker_cpu: float
    broker_cpu: float
    lane_bytes: float
    partition_rate: float
    process_rate: float


@dataclass(frozen=True)
class Assumptions:
    """What nobody measured here.

    Attributes:
        load: How much of a core is used at most.
        replicas: Of each topic.
        events_share: Bytes of transitions for each byte on a lane.
        retention_days: Of lanes and events.
        broker_cores: Of one broker.
        broker_write: Bytes a second that one broker takes, replicas counted.
        core_hour: Price of a core for an hour, in dollars.
        gigabyte_month: Price of a gigabyte of disk for a month, in dollars.
    """

    load: float = 0.6
    replicas: int = 3
    events_share: float = 0.5
    retention_days: float = 1.0
    broker_cores: int = 8
    broker_write: float = 150e6
    core_hour: float = 0.04
    gigabyte_month: float = 0.08


@dataclass(frozen=True)
class Need:
    """What a rate needs."""

    rate: int
    worker_cores: int
    client_cores: int
    brokers: int
    partitions: int
    disk_gb: float
    dollars: float


def need(rate: int, costs: Costs, assumed: Assumptions) -> Need:
    """Work out what a rate needs, the work of handlers left out."""
    workers = math.ceil(rate * costs.worker_cpu / assumed.load)
    clients = math.ceil(rate * costs.submit_cpu / assumed.load)
    written = rate * costs.lane_bytes * (1 + assumed.events_share) * assumed.replicas
    by_cpu = rate * costs.broker_cpu * assumed.replicas / assumed.load / assumed.broker_cores
    brokers = max(assumed.replicas, math.ceil(by_cpu), math.ceil(written / assumed.broker_write))
    fewest = math.ceil(rate / assumed.load / min(costs.partition_rate, costs.process_rate))
    disk = written * _DAY * assumed.retention_days / 1e9
    cores = workers + clients + brokers * assumed.broker_cores
    dollars = cores * assumed.core_hour * _HOURS + disk * assumed.gigabyte_month
    return Need(rate, workers, clients, brokers, max(12, fewest), disk, dollars)


def measured(results: Results) -> Costs:
    """Take what a job costs from the results.

    Raises:
        LookupError: Workload 1, 2 or 9 of Headrace was not measured.
    """
    submitted = _row(results, "1-submit", "pipelined")
    drained = _row(results, "2-drain", "one process")
    narrow = _row(results, "9-scale", "1 partition")
    return Costs(
        _figure(submitted, "cpu_us_per_job") / 1e6,
        _figure(drained, "cpu_s_per_1000") / 1000,
        _figure(drained, "service_cpu_s_per_1000") / 1000,
        _figure(drained, "bytes_per_job"),
        _figure(narrow, "per_s"),
        _figure(drained, "per_s"),
    )


def _row(results: Results, workload: str, case: str) -> Row:
    found = find(list(rows(results, workload)), "headrace", case)
    if found is None:
        raise LookupError(
            f"{results.folder} has no result of {workload} ({case}) of Headrace: measure it with "
            f"`make bench BENCH='--only headrace --workload {workload[0]}'`"
        )
    return found


def _figure(row: Row, name: str) -> float:
    found = row.median(name)
    if found is None:
        raise LookupError(f"the result {row.case!r} has no figure {name!r}: measure it again")
    return found


def page(costs: Costs, assumed: Assumptions) -> str:
    """Write the page."""
    lines = [
        [
            f"{each.rate:,} jobs/s",
            f"{each.worker_cores:,}",
            f"{each.client_cores:,}",
            f"{each.brokers:,} with {assumed.broker_cores} cores",
            f"{each.partitions:,}",
            f"{each.disk_gb:,.0f} GB",
            f"{each.dollars:,.0f}",
        ]
        for each in (need(rate, costs, assumed) for rate in RATES)
    ]
    head = ["rate", "worker cores", "client cores", "brokers", "partitions at least"]
    return (
        f"{_HEAD}\n{tables.table([*head, 'disk', 'dollars a month'], lines, texts=1)}\n"
        f"## Measured\n\n{_measured(costs)}\n## Assumed\n\n{_assumed(assumed)}"
    )


def _measured(costs: Costs) -> str:
    return (
        f"A job costs a client {costs.submit_cpu * 1e6:.0f} µs of CPU, a worker "
        f"{costs.worker_cpu * 1e6:.0f} µs and a broker {costs.broker_cpu * 1e6:.0f} µs for each replica; "
        f"it takes {costs.lane_bytes:.0f} bytes on its lane (200 bytes of arguments, compressed). One "
        f"partition carried {costs.partition_rate:,.0f} jobs/s, one process {costs.process_rate:,.0f}.\n"
    )


def _assumed(assumed: Assumptions) -> str:
    return (
        f"{assumed.load:.0%} load at most; {assumed.replicas} replicas; transitions take "
        f"{assumed.events_share:.0%} of the lanes' bytes again; {assumed.retention_days:g} day of retention; "
        f"a broker takes {assumed.broker_write / 1e6:.0f} MB/s of writes; a core costs "
        f"{assumed.core_hour:g} dollars an hour, a gigabyte of disk {assumed.gigabyte_month:g} a month.\n"
    )


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--target", type=Path, default=TARGET)
    chosen = parser.parse_args()
    try:
        costs = measured(Results(chosen.results))
    except LookupError as error:
        parser.exit(1, f"error: {error}\n")
    chosen.target.write_text(page(costs, Assumptions()), encoding="utf-8")


if __name__ == "__main__":
    main()
