"""A scaler in a thread, over a cluster that is said to be so or so."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from headrace.pipeline import Pipeline
from headrace.pipeline.errors import KafkaUnavailableError
from headrace.pipeline.settings import ScalerSettings, load
from headrace.pipeline.telemetry.metrics import Metrics
from headrace.processors.lag.report import TopicLag
from headrace.processors.scaler.server import ScalerServer
from headrace.processors.scaler.servicing import ScalerServicer
from headrace.processors.scaler.watching import BacklogWatch
from tests.processors.lag.build import AT, Said, pipeline_of
from tests.support.stage import wait_until

LANE = "shop.q0.normal"
TRIGGER = {"pipeline": "shop", "lane": LANE, "target": "10"}
START_TIME = timedelta(seconds=30)


@dataclass
class World:
    """Kafka and the clock, as a test says they are."""

    pipeline: Pipeline = field(default_factory=lambda: pipeline_of(1))
    now: int = AT
    away: str = ""
    """Why Kafka does not answer; it does when empty."""
    said: Said = field(init=False)

    def __post_init__(self) -> None:
        self.said = Said(self.pipeline)

    def read(self) -> Mapping[str, TopicLag]:
        if self.away:
            raise KafkaUnavailableError(self.away)
        self.said.at = self.now
        return {lane.topic: lane for lane in self.said.report().lanes}

    def close(self) -> None:
        pass

    def clock(self) -> int:
        return self.now

    def watch(self, **settings: Any) -> BacklogWatch:
        given = {"scaler_interval": timedelta(milliseconds=20), **settings}
        return BacklogWatch(self, load(ScalerSettings, **given), Metrics(role="test"), self.clock)


@contextmanager
def serving(world: World, **settings: Any) -> Iterator[str]:
    """Run a scaler on a port of its own; gives its address."""
    watch = world.watch()
    servicer = ScalerServicer(world.pipeline, watch, START_TIME, Metrics(role="test"), world.clock)
    given = load(ScalerSettings, **{"scaler_address": "127.0.0.1:0", **settings})
    server = ScalerServer(given, watch, servicer)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until("it listens", lambda: server.port)
        wait_until("it has looked", lambda: watch.age is not None or world.away)
        yield f"127.0.0.1:{server.port}"
    finally:
        server.stop()
        thread.join()
