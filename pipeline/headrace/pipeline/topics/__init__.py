"""The topics of a pipeline: planned first, applied on demand, checked by whoever starts."""

from headrace.pipeline.topics.apply import ApplyReport, apply_plan
from headrace.pipeline.topics.check import check_tiers, check_topics, plan_topics
from headrace.pipeline.topics.control import known_partitions, record_partitions
from headrace.pipeline.topics.offsets import OffsetStep, Start, starting_offset_allowed
from headrace.pipeline.topics.plan import Action, ConfigChange, TopicPlan, TopicStep
from headrace.pipeline.topics.render import PlanRow
from headrace.pipeline.topics.wanted import GONE_KEPT, Role, WantedTopic, wanted

__all__ = [
    "GONE_KEPT",
    "Action",
    "ApplyReport",
    "ConfigChange",
    "OffsetStep",
    "PlanRow",
    "Role",
    "Start",
    "TopicPlan",
    "TopicStep",
    "WantedTopic",
    "apply_plan",
    "check_tiers",
    "check_topics",
    "known_partitions",
    "plan_topics",
    "record_partitions",
    "starting_offset_allowed",
    "wanted",
]
