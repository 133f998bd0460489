"""Who works: what workers and schedulers say of themselves, who is gone, what nobody serves."""

from headrace.processors.workers.reading import WorkerReader
from headrace.processors.workers.view import (
    SeenProcess,
    Standing,
    Unserved,
    WorkerView,
    by_topic,
)

__all__ = ["SeenProcess", "Standing", "Unserved", "WorkerReader", "WorkerView", "by_topic"]
