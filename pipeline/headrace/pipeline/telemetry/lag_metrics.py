"""The metrics of `headrace exporter`: the closed list, and the names that other tools gave to some.

None has a label for a partition: how many series there are follows from the declaration alone. The
aliases have one, because existing boards do, and a bound (`HEADRACE_EXPORTER_PARTITIONS`).
"""

from typing import Final

from headrace.pipeline.telemetry.labels import LANE, TIER
from headrace.pipeline.telemetry.metric_specs import CounterSpec, GaugeSpec, Label, MetricSpec

TOPIC: Final = Label("topic", "A lane, a delay tier or a dead-letter topic.")
GROUP: Final = Label("group", "A consumer group: a lane's, or the schedulers'.")
WITHIN: Final = Label(
    "within",
    "Counts what is due within so long from now; what is due already, too.",
    ("10s", "1m", "5m", "30m", "2h", "8h", "24h", "+Inf"),
)
VERDICT: Final = Label(
    "verdict",
    "How it is, from well to worst.",
    ("OK", "warning", "stalled", "stopped", "rewound", "lost offset"),
)
LETTER_STATE: Final = Label(
    "state",
    "`open`, or what was done: its job was replayed, it was discarded, or edited into a new job.",
    ("open", "replayed", "discarded", "edited"),
)
LOOK: Final = Label("look", "Whether Kafka answered.", ("ok", "failed"))


class LagMetric:
    """What an exporter exposes."""

    LAG_JOBS: Final = GaugeSpec(
        "headrace_lag_jobs",
        "Jobs that are not finished, those above the commit point taken off; of dead-letter "
        "topics: records that are kept.",
        (TOPIC,),
        "jobs",
    )
    LETTERS: Final = GaugeSpec(
        "headrace_letters",
        "Dead letters that are kept, by what was done about them; none while there are too many to "
        "be counted.",
        (TOPIC, LETTER_STATE),
        "letters",
    )
    READY_JOBS: Final = GaugeSpec(
        "headrace_ready_jobs",
        "Jobs that are due and not started, as far as workers tell what they run; those that lie "
        "in the delay tiers still are among them.",
        (LANE,),
        "jobs",
    )
    OLDEST_AGE: Final = GaugeSpec(
        "headrace_oldest_ready_age_seconds",
        "How long the oldest unfinished job has waited, as its own record says; 0 when none does.",
        (LANE,),
        "seconds",
    )
    DUE_JOBS: Final = GaugeSpec(
        "headrace_due_jobs",
        "Jobs that wait in the delay tiers, by when they are due.",
        (LANE, WITHIN),
        "jobs",
    )
    OVERDUE_JOBS: Final = GaugeSpec(
        "headrace_overdue_jobs", "Jobs that are due and lie in the tiers still.", (LANE,), "jobs"
    )
    TIER_LATE: Final = GaugeSpec(
        "headrace_tier_late_seconds",
        "By how much the first due job of a tier is late; 0 while nothing is due.",
        (TIER,),
        "seconds",
    )
    RATE_IN: Final = GaugeSpec(
        "headrace_lag_in_rate",
        "Records that came, a second, over the last minute.",
        (TOPIC,),
        "records/s",
    )
    RATE_OUT: Final = GaugeSpec(
        "headrace_lag_out_rate",
        "Records that were finished, a second, over the last minute.",
        (TOPIC,),
        "records/s",
    )
    CLOSES_IN: Final = GaugeSpec(
        "headrace_time_to_close_seconds",
        "When nothing will wait, if it goes on like this; `+Inf` when it never will.",
        (LANE,),
        "seconds",
    )
    RETENTION_USED: Final = GaugeSpec(
        "headrace_retention_used_ratio",
        "Share of its time to live that the oldest unfinished record has used up; at 1 retention "
        "deletes it.",
        (TOPIC,),
        "ratio",
    )
    LAST_COMMIT: Final = GaugeSpec(
        "headrace_last_commit_age_seconds",
        "Time since anything was seen to be finished; missing until something was.",
        (TOPIC,),
        "seconds",
    )
    LOST_OFFSETS: Final = GaugeSpec(
        "headrace_lost_offsets",
        "Offsets that retention deleted before their records were finished.",
        (TOPIC,),
        "offsets",
    )
    MEMBERS: Final = GaugeSpec("headrace_group_members", "Members.", (GROUP,), "members")
    IDLE_MEMBERS: Final = GaugeSpec(
        "headrace_group_idle_members", "Members that own no partition.", (GROUP,), "members"
    )
    SETTLED: Final = GaugeSpec(
        "headrace_group_settled",
        "1 unless members are joining or leaving.",
        (GROUP,),
        "0 or 1",
    )
    VERDICTS: Final = GaugeSpec(
        "headrace_lag_verdict",
        "1 for the verdict on a topic, 0 for the others.",
        (TOPIC, VERDICT),
        "0 or 1",
    )
    PARTITIONS: Final = GaugeSpec(
        "headrace_lag_partitions", "Partitions, by verdict.", (TOPIC, VERDICT), "partitions"
    )
    FIGURES_AGE: Final = GaugeSpec(
        "headrace_lag_age_seconds",
        "How old the figures of the exporter are. Over HEADRACE_EXPORTER_STALE_AFTER they are "
        "taken away; only this one stays.",
        (),
        "seconds",
    )
    LOOK_DURATION: Final = GaugeSpec(
        "headrace_lag_look_seconds", "How long the last look at Kafka took.", (), "seconds"
    )
    LOOKS: Final = CounterSpec("headrace_lag_looks_total", "Looks at Kafka.", (LOOK,))


LAG_METRICS: Final[tuple[MetricSpec, ...]] = tuple(
    spec for spec in vars(LagMetric).values() if isinstance(spec, MetricSpec)
)

_PARTITION: Final = Label("partition", "A partition of the topic.")
_CONSUMERGROUP: Final = Label("consumergroup", "As `group`.")


class Alias:
    """Names that boards for Kafka use. Offsets, as Kafka counts them: not what is ready."""

    LAG: Final = GaugeSpec(
        "kafka_consumergroup_lag",
        "End less commit point, as kafka_exporter has it.",
        (_CONSUMERGROUP, TOPIC, _PARTITION),
        "offsets",
    )
    LAG_SUM: Final = GaugeSpec(
        "kafka_consumergroup_lag_sum", "The same of a topic.", (_CONSUMERGROUP, TOPIC), "offsets"
    )
    OFFSET: Final = GaugeSpec(
        "kafka_consumergroup_current_offset",
        "The commit point, as kafka_exporter has it.",
        (_CONSUMERGROUP, TOPIC, _PARTITION),
        "offset",
    )
    END: Final = GaugeSpec(
        "kafka_topic_partition_current_offset",
        "The end, as kafka_exporter has it.",
        (TOPIC, _PARTITION),
        "offset",
    )
    GROUP_LAG: Final = GaugeSpec(
        "kafka_consumergroup_group_lag",
        "End less commit point, as kafka-lag-exporter has it.",
        (GROUP, TOPIC, _PARTITION),
        "offsets",
    )
    GROUP_SECONDS: Final = GaugeSpec(
        "kafka_consumergroup_group_lag_seconds",
        "Age of the oldest unfinished record, as kafka-lag-exporter has it; here it is read.",
        (GROUP, TOPIC, _PARTITION),
        "seconds",
    )
    MAX_LAG: Final = GaugeSpec(
        "kafka_consumergroup_group_max_lag", "The largest of a group.", (GROUP,), "offsets"
    )
    MAX_SECONDS: Final = GaugeSpec(
        "kafka_consumergroup_group_max_lag_seconds", "The largest of a group.", (GROUP,), "seconds"
    )


ALIASES: Final[tuple[GaugeSpec, ...]] = tuple(
    spec for spec in vars(Alias).values() if isinstance(spec, GaugeSpec)
)
