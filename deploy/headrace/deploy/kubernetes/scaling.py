"""How KEDA scales a lane: its ScaledObject, and what KEDA proves itself to Kafka with."""

from typing import Any, Final

from headrace.deploy.access import Role
from headrace.deploy.kubernetes.external_scaling import external_trigger
from headrace.deploy.kubernetes.setting import Manifest, Setting, manifest
from headrace.deploy.profile_kafka import Security
from headrace.deploy.scaling.plan import Plan
from headrace.pipeline.queues import Lane

LONGEST_NAME: Final = 54
"""KEDA's HorizontalPodAutoscaler is named `keda-hpa-` and this, 63 characters at most."""
KEDA_USER_VARIABLE: Final = "KEDA_KAFKA_USER"
"""The variable of a worker's container from which KEDA reads the name of its own Kafka user."""


def scaled_object(setting: Setting, lane: Lane) -> Manifest:
    """Make a lane's ScaledObject: a trigger on the lag of its own group in its own topic, and its floors."""
    name, plan = setting.lane_name(lane), setting.plan(lane)
    strategy = plan.strategy
    return manifest(
        "keda.sh/v1alpha1",
        "ScaledObject",
        name,
        setting.lane_labels(lane),
        spec={
            "scaleTargetRef": {"name": name, "envSourceContainerName": "headrace"},
            "minReplicaCount": plan.least,
            # More pods than partitions would have nothing to do
            "maxReplicaCount": plan.most,
            "pollingInterval": round(strategy.polling.total_seconds()),
            "cooldownPeriod": round(strategy.cooldown.total_seconds()),
            # Where the lag cannot be read, what runs goes on: an error is not an empty lane
            "fallback": {
                "failureThreshold": plan.fallback.failures,
                "replicas": plan.fallback.replicas,
                "behavior": plan.fallback.behaviour.value,
            },
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behaviour(plan)}},
            # KEDA counts the trigger that asks for most, not their sum
            "triggers": [_trigger(setting, lane, plan), *(each.manifest() for each in plan.floors)],
        },
    )


def _behaviour(plan: Plan) -> dict[str, Any]:
    return {"scaleUp": plan.strategy.up.manifest(), "scaleDown": plan.strategy.down.manifest()}


def _trigger(setting: Setting, lane: Lane, plan: Plan) -> dict[str, Any]:
    if plan.asks_scaler:
        return external_trigger(setting, lane)
    metadata = {
        "bootstrapServers": setting.profile.kafka.bootstrap_servers,
        "consumerGroup": lane.topic,
        "topic": lane.topic,
        "lagThreshold": str(plan.threshold),
        "activationLagThreshold": "0",
        # As the worker does: `topics apply` commits an offset for every partition
        "offsetResetPolicy": "earliest",
        "ensureEvenDistributionOfPartitions": "true",
    }
    security = setting.profile.kafka.security
    if security is Security.PLAINTEXT:
        return {"type": "kafka", "metadata": metadata}
    metadata["tls"] = "enable"
    if security is Security.SCRAM:
        metadata["sasl"] = "scram_sha512"
    reference = {"name": setting.user(Role.KEDA)}
    return {"type": "kafka", "metadata": metadata, "authenticationRef": reference}


def trigger_authentication(setting: Setting) -> Manifest | None:
    """Make what all lanes' triggers refer to; None where Kafka asks for no proof."""
    security, name = setting.profile.kafka.security, setting.user(Role.KEDA)
    if security is Security.PLAINTEXT:
        return None
    keys = {"password": "password"}
    if security is Security.MUTUAL_TLS:
        keys = {"cert": "user.crt", "key": "user.key"}
    targets = [{"parameter": what, "name": name, "key": key} for what, key in keys.items()]
    authority = setting.profile.kafka.ca_secret
    if authority:
        targets.append({"parameter": "ca", "name": authority, "key": "ca.crt"})
    spec: dict[str, Any] = {"secretTargetRef": targets}
    if security is Security.SCRAM:
        spec["env"] = [{"parameter": "username", "name": KEDA_USER_VARIABLE}]
    labels = setting.labels("keda")
    return manifest("keda.sh/v1alpha1", "TriggerAuthentication", name, labels, spec=spec)
