"""What the demo declares: one pipeline, one queue in child processes, one job type."""

from datetime import timedelta
from pathlib import Path

from examples.source_audit.measure import Measurement, UnparsableError, measure
from headrace.pipeline import Pipeline, Queue, Reject

SMALL = 8_000
"""Bytes below which a file is measured before the others."""
LARGE = 40_000
"""Bytes from which a file is measured after the others."""

audit = Pipeline("source-audit", queues=[Queue("files", pool="process")])


@audit.job("source.measure", timeout=timedelta(seconds=60))
def measure_file(directory: str, path: str) -> Measurement:
    """Measure `path`, relative to `directory`. What cannot be parsed is rejected: never again."""
    source = (Path(directory) / path).read_bytes()
    try:
        return measure(source)
    except UnparsableError as error:
        # The dead letter tells what the parser raised, and has the traceback.
        raise Reject(str(error)) from error.__cause__


def priority_of(size: int) -> str:
    """Give the priority of a file by its bytes: a large one does not hold up a hundred small ones."""
    if size < SMALL:
        return "high"
    return "low" if size >= LARGE else "normal"
