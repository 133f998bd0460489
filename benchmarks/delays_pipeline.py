"""The pipeline that `benchmarks.delays` fills; nobody runs its jobs, they are looked at."""

from headrace.pipeline import Pipeline, Queue

steady, shared, burst = (
    Pipeline(name, queues=[Queue("default", priorities=("normal",), partitions=6)])
    for name in ("steady", "shared", "burst")
)


def _declare(pipeline: Pipeline) -> None:
    @pipeline.job("due")
    async def due(number: int, note: str) -> None:
        """Be released."""


for each in (steady, shared, burst):
    _declare(each)
