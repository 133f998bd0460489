"""The pipeline that is tried on a cluster, made by name: `tests.cluster.pipelines:t3f9a2c81`."""

import asyncio
from functools import cache
from typing import Any

from headrace.pipeline import Pipeline, Queue

PARTITIONS = 8


def make(name: str) -> Pipeline:
    """Make the pipeline: two lanes, and jobs that take as long as they are told."""
    queues = [Queue("default", priorities=("normal", "low"), partitions=PARTITIONS)]
    pipeline = Pipeline(name, queues=queues)

    @pipeline.job("nap")
    async def nap(seconds: float) -> None:
        """Wait, as for somebody else's answer: takes no CPU."""
        await asyncio.sleep(seconds)

    return pipeline


def reference(name: str) -> str:
    return f"{__name__}:{name}"


@cache
def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    return make(name)
