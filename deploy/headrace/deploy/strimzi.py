"""Topics and users as resources of Strimzi's topic and user operators."""

from collections.abc import Iterator
from typing import Any, Final

from headrace.deploy.access import Role, Rule, rules_of, user_of
from headrace.deploy.profile import Profile
from headrace.deploy.profile_kafka import Security
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.topics.wanted import WantedTopic, wanted

API_VERSION: Final = "kafka.strimzi.io/v1"


def strimzi_files(pipeline: Pipeline, profile: Profile) -> dict[str, list[dict[str, Any]]]:
    """Give the documents of each file: the topics, the users."""
    return {
        "topics.yaml": list(_topics(pipeline, profile)),
        "users.yaml": [_user(pipeline, profile, role) for role in Role],
    }


def _topics(pipeline: Pipeline, profile: Profile) -> Iterator[dict[str, Any]]:
    for topic in wanted(pipeline, profile.topics.settings()):
        yield {
            **_head("KafkaTopic", topic.name, pipeline, profile),
            "spec": _topic_spec(topic),
        }


def _topic_spec(topic: WantedTopic) -> dict[str, Any]:
    replicas = topic.replication if topic.replication > 0 else None
    spec: dict[str, Any] = {"partitions": topic.partitions}
    if replicas is not None:
        spec["replicas"] = replicas
    return {**spec, "config": dict(topic.config_for(replicas))}


def _user(pipeline: Pipeline, profile: Profile, role: Role) -> dict[str, Any]:
    acls = [_acl(rule) for rule in rules_of(pipeline, role)]
    return {
        **_head("KafkaUser", user_of(pipeline, role), pipeline, profile),
        "spec": {
            **_authentication(profile.kafka.security),
            "authorization": {"type": "simple", "acls": acls},
        },
    }


def _authentication(security: Security) -> dict[str, Any]:
    """The user operator makes the Secret: nobody writes one down."""
    kinds = {Security.SCRAM: "scram-sha-512", Security.MUTUAL_TLS: "tls"}
    if security not in kinds:
        return {}
    return {"authentication": {"type": kinds[security]}}


def _acl(rule: Rule) -> dict[str, Any]:
    return {
        "type": "allow",
        "resource": {
            "type": rule.resource.value,
            "name": rule.name,
            "patternType": rule.pattern,
        },
        "operations": [operation.value for operation in rule.operations],
        "host": "*",
    }


def _head(kind: str, name: str, pipeline: Pipeline, profile: Profile) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": profile.kafka.namespace,
            "labels": {
                "strimzi.io/cluster": profile.kafka.cluster,
                "app.kubernetes.io/part-of": pipeline.name,
            },
        },
    }
