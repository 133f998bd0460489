"""Panels of what waits, as the exporter measures it."""

from typing import Final

from headrace.deploy.observability.board import Panel, Query, Unit
from headrace.deploy.observability.queries import (
    OF_LANE,
    OF_PIPELINE,
    gauge,
    select,
    total,
)
from headrace.pipeline.telemetry.lag_metrics import LagMetric

_TOPIC_OF_PIPELINE: Final = 'topic=~"$pipeline[.].*"'
_TOPIC_OF_LANE: Final = 'topic="$lane"'
_LETTERS: Final = 'topic=~"$pipeline[.].*[.]dlq"'

READY: Final = Panel(
    "Ready backlog",
    "Jobs that are due and not started, by lane: what scaling goes by.",
    Unit.COUNT,
    (Query(gauge(LagMetric.READY_JOBS, OF_PIPELINE, by=("lane",)), "{{lane}}"),),
    stacked=True,
)
OLDEST: Final = Panel(
    "Oldest ready job",
    "How long the oldest ready job has waited, by lane. What the objective is about.",
    Unit.SECONDS,
    (Query(f"max by (lane) ({select(LagMetric.OLDEST_AGE, OF_PIPELINE)})", "{{lane}}"),),
)
LAG: Final = Panel(
    "Unfinished jobs",
    "Of lanes, delay tiers and dead-letter topics, those above the commit point taken off. Kafka's own "
    "lag counts these too.",
    Unit.COUNT,
    (Query(gauge(LagMetric.LAG_JOBS, _TOPIC_OF_PIPELINE, by=("topic",)), "{{topic}}"),),
)
VERDICTS: Final = Panel(
    "Not well",
    "Topics whose verdict is not OK. Nothing here is what one wants to see.",
    Unit.COUNT,
    (
        Query(
            total(select(LagMetric.VERDICTS, _TOPIC_OF_PIPELINE, 'verdict!="OK"'), "verdict"),
            "{{verdict}}",
        ),
    ),
    stacked=True,
)
OF_THE_LANE: Final = (
    Panel(
        "Ready, and due soon",
        "Jobs that are due and not started, and those that fall due within a minute and half an hour.",
        Unit.COUNT,
        (
            Query(gauge(LagMetric.READY_JOBS, OF_LANE), "ready"),
            Query(gauge(LagMetric.DUE_JOBS, OF_LANE, 'within="1m"'), "due within a minute"),
            Query(gauge(LagMetric.DUE_JOBS, OF_LANE, 'within="30m"'), "within half an hour"),
        ),
    ),
    Panel(
        "Oldest ready job",
        "How long it has waited, by its own record.",
        Unit.SECONDS,
        (Query(f"max({select(LagMetric.OLDEST_AGE, OF_LANE)})", "oldest"),),
    ),
    Panel(
        "In and out",
        "Records that came and that were finished, a second, over the last minute.",
        Unit.PER_SECOND,
        (
            Query(gauge(LagMetric.RATE_IN, _TOPIC_OF_LANE), "in"),
            Query(gauge(LagMetric.RATE_OUT, _TOPIC_OF_LANE), "out"),
        ),
    ),
    Panel(
        "Time to live used",
        "By the oldest unfinished record. At 100 % retention deletes it.",
        Unit.SHARE,
        (Query(f"max({select(LagMetric.RETENTION_USED, _TOPIC_OF_LANE)})", "used"),),
    ),
)
LETTERS_KEPT: Final = Panel(
    "Dead letters kept",
    "Records of the dead-letter topics, whatever was done about them. `headrace dlq stats` counts the "
    "open ones.",
    Unit.COUNT,
    (Query(gauge(LagMetric.LAG_JOBS, _LETTERS, by=("topic",)), "{{topic}}"),),
)
LETTERS_IN: Final = Panel(
    "Dead letters coming in",
    "A second, over the last minute: from lanes and delay tiers together.",
    Unit.PER_SECOND,
    (Query(gauge(LagMetric.RATE_IN, _LETTERS, by=("topic",)), "{{topic}}"),),
)
LETTERS_BY_STATE: Final = Panel(
    "What was done about them",
    "`open` ones wait for somebody; the others were replayed, discarded or edited.",
    Unit.COUNT,
    (Query(gauge(LagMetric.LETTERS, _LETTERS, by=("topic", "state")), "{{topic}} {{state}}"),),
    stacked=True,
)
