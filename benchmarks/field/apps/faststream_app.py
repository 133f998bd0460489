"""FastStream on Kafka, with the confluent client."""

# pyright: reportMissingImports=false

import asyncio
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.confluent import KafkaBroker

from benchmarks.field import work
from benchmarks.field.calls import Call
from benchmarks.field.client import LoopClient

_TOPIC = work.setting("NAME", "bench")
_IN_FLIGHT = int(work.setting("IN_FLIGHT", "1"))
broker = KafkaBroker(work.setting("URL", "127.0.0.1:9092"), logger=None)
app = FastStream(broker, logger=None)
# More than one worker is offered only where offsets are committed first.
_SIDE_BY_SIDE: dict[str, Any] = (
    {"max_workers": _IN_FLIGHT, "ack_policy": AckPolicy.ACK_FIRST}
    if _IN_FLIGHT > 1
    else {"ack_policy": AckPolicy.ACK_FIRST}
)


@broker.subscriber(_TOPIC, group_id=_TOPIC, auto_offset_reset="earliest", **_SIDE_BY_SIDE)
async def job(body: dict[str, Any]) -> None:
    """Whatever the kind says."""
    await work.perform_async(body["kind"], body["number"])


class Client(LoopClient):
    """`publish`; `no_confirm` where nothing waits for the answer."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__()
        self.run(broker.connect())

    async def submit(self, call: Call) -> None:
        """Submit one."""
        body = {"kind": call.kind, "number": call.number, "note": call.note}
        await broker.publish(body, topic=_TOPIC, key=str(call.number).encode())

    def close(self) -> None:
        """Let go of the connections."""
        self.run(asyncio.wait_for(broker.stop(), 30))
