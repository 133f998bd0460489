"""The pipeline whose workers `benchmarks.autoscale` lets come and go."""

import asyncio
import os
from pathlib import Path

from headrace.pipeline import Pipeline, Queue

pipeline = Pipeline("auto", queues=[Queue("default", priorities=("normal",), partitions=20)])


@pipeline.job("nap")
async def nap(folder: str) -> None:
    """Be there for 0.2 s, and leave a file by the name of the process."""
    (Path(folder) / str(os.getpid())).touch()
    await asyncio.sleep(0.2)
