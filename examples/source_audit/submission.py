"""Getting the jobs in: one for each file, the same id however often a file is submitted."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from examples.source_audit.jobs import audit, measure_file, priority_of
from headrace.pipeline.settings import KafkaSettings
from headrace.producers import Producer

PACKAGES = frozenset({"site-packages", "dist-packages"})
"""Folders of what was installed: not the standard library."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The jobs of one run, all of them acknowledged by the broker.

    Attributes:
        paths: The file of each job, relative to the audited folder, by job id.
        priorities: How many jobs went to each priority.
        seconds: What submitting took.
    """

    paths: Mapping[str, str]
    priorities: Mapping[str, int]
    seconds: float


def find_files(directory: Path, limit: int | None) -> list[Path]:
    """Give the `.py` files below a folder, sorted by path, without installed packages."""
    found = [
        path
        for path in directory.rglob("*.py")
        if path.is_file() and not PACKAGES.intersection(path.relative_to(directory).parts)
    ]
    return sorted(found, key=lambda path: path.relative_to(directory).as_posix())[:limit]


def submit(kafka: KafkaSettings, directory: Path, files: list[Path], run: str) -> Submitted:
    """Submit a job for each file and wait until the broker has them all.

    Raises:
        DeliveryError: The broker did not take some.
    """
    began = time.monotonic()
    paths: dict[str, str] = {}
    priorities: Counter[str] = Counter()
    with Producer(audit, kafka=kafka) as producer:
        for file in files:
            path = file.relative_to(directory).as_posix()
            priority = priority_of(file.stat().st_size)
            receipt = producer.submit(
                measure_file.job(directory=str(directory), path=path),
                priority=priority,
                tenant=run,
                dedup_key=path,
            )
            paths[receipt.job_id] = path
            priorities[priority] += 1
    return Submitted(paths, dict(priorities), time.monotonic() - began)
