"""How long topics keep their records."""

from collections.abc import Iterable, Mapping

from headrace.pipeline.topics.api import ConfigResource, ResourceType
from headrace.pipeline.topics.calls import AdminCalls
from headrace.pipeline.topics.wanted import RETENTION


def retentions(calls: AdminCalls, topics: Iterable[str]) -> Mapping[str, int]:
    """Learn the `retention.ms` of topics that exist; those that keep everything are left out.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        RightsError: A topic's settings may not be read.
        TopicError: Kafka refused for another reason.
    """
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
    if not resources:
        return {}
    futures = calls.admin.describe_configs(resources, **calls.bound)
    found = {
        each.name: calls.result(
            f"reading the settings of topic {each.name}", future, right="DESCRIBE_CONFIGS"
        )
        for each, future in futures.items()
    }
    kept = {topic: int(entries[RETENTION].value or -1) for topic, entries in found.items()}
    return {topic: retention for topic, retention in kept.items() if retention > 0}
