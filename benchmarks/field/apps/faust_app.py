"""Faust on Kafka."""

# pyright: reportMissingImports=false

from typing import Any

import faust

from benchmarks.field import work
from benchmarks.field.calls import Call
from benchmarks.field.client import LoopClient

_TOPIC = work.setting("NAME", "bench")
app = faust.App(
    _TOPIC,
    broker=f"kafka://{work.setting('URL', '127.0.0.1:9092')}",
    value_serializer="json",
    topic_allow_declare=False,
    topic_disable_leader=True,
    datadir=f"{work.needed('LOG')}-faust",
    web_enabled=False,
    consumer_auto_offset_reset="earliest",
    producer_acks=-1,
)
topic = app.topic(_TOPIC, key_type=bytes, value_type=None, acks=True)


@app.agent(topic, concurrency=int(work.setting("IN_FLIGHT", "1")))
async def job(stream: Any) -> None:
    """Whatever the kind says."""
    async for body in stream:
        await work.perform_async(body["kind"], body["number"])


class Client(LoopClient):
    """`topic.send`, each awaited."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__()
        app.loop = self.loop
        self.run(app.producer.start())

    async def submit(self, call: Call) -> None:
        """Submit one."""
        body = {"kind": call.kind, "number": call.number, "note": call.note}
        await (await topic.send(key=str(call.number).encode(), value=body))

    def close(self) -> None:
        """Flush and let go."""
        self.run(app.producer.stop())
