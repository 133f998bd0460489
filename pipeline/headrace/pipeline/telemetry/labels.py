"""Labels that metrics of several parts share."""

from typing import Final

from headrace.pipeline.telemetry.metric_specs import Label

LANE: Final = Label("lane", "The lane's topic, `pipeline.queue.priority`.")
TIER: Final = Label("tier", "A delay tier.")
RESULT: Final = Label("result", "Whether Kafka took it.", ("ok", "failed"))
