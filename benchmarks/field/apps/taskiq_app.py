"""Taskiq, on a Redis stream or on Kafka."""

# pyright: reportMissingImports=false

from typing import Annotated, Any

from taskiq import Context, InMemoryBroker, SimpleRetryMiddleware, TaskiqDepends
from taskiq.serializers import ORJSONSerializer

from benchmarks.field import work
from benchmarks.field.calls import Call
from benchmarks.field.client import LoopClient


def _broker() -> Any:
    url, name = work.setting("URL"), work.setting("NAME")
    if url.startswith("redis"):
        from taskiq_redis import RedisStreamBroker  # noqa: PLC0415 - only there

        return RedisStreamBroker(url, queue_name=name, consumer_id="0")
    return _on_kafka(url, name) if url else InMemoryBroker()


def _on_kafka(url: str, name: str) -> Any:
    """Make the broker with parts of its own client: those it takes by itself do not fit 0.14."""
    from aiokafka.coordinator.assignors import roundrobin  # noqa: PLC0415 - only there
    from aiokafka.partitioner import DefaultPartitioner  # noqa: PLC0415
    from taskiq_aio_kafka import AioKafkaBroker  # noqa: PLC0415

    found = AioKafkaBroker(bootstrap_servers=url, kafka_topic=name)
    found.configure_producer(partitioner=DefaultPartitioner())
    found.configure_consumer(
        group_id=name,
        auto_offset_reset="earliest",
        partition_assignment_strategy=(roundrobin.RoundRobinPartitionAssignor,),
    )
    return found


broker = (
    _broker()
    .with_serializer(ORJSONSerializer())
    .with_middlewares(SimpleRetryMiddleware(default_retry_count=work.ATTEMPTS))
)


@broker.task(task_name="job")  # type: ignore[untyped-decorator,unused-ignore]
async def job(kind: str, number: int, note: str) -> None:
    """Whatever the kind says."""
    await work.perform_async(kind, number)


@broker.task(task_name="flaky", retry_on_error=True, max_retries=work.ATTEMPTS)  # type: ignore[untyped-decorator,unused-ignore]
async def flaky(
    kind: str, number: int, note: str, context: Annotated[Context, TaskiqDepends()]
) -> None:
    """Fail in a tenth of all attempts."""
    work.fail_or_not(number, int(context.message.labels.get("_retries", 0)) + 1)


class Client(LoopClient):
    """`kiq`: the broker answers each one; many side by side."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__()
        self.run(broker.startup())

    async def submit(self, call: Call) -> None:
        """Submit one."""
        task: Any = flaky if call.kind == "flaky" else job
        await task.kiq(call.kind, call.number, call.note)

    def close(self) -> None:
        """Let go of the connections."""
        self.run(broker.shutdown())
