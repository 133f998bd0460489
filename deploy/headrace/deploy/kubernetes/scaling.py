"""How KEDA scales a lane: its ScaledObject, and what KEDA proves itself to Kafka with."""

from datetime import timedelta
from typing import Any, Final

from headrace.deploy.access import Role
from headrace.deploy.kubernetes.external_scaling import external_trigger
from headrace.deploy.kubernetes.setting import Manifest, Setting, manifest
from headrace.deploy.profile_kafka import Security
from headrace.pipeline.queues import Lane

LONGEST_NAME: Final = 54
"""KEDA's HorizontalPodAutoscaler is named `keda-hpa-` and this, 63 characters at most."""
POLLING: Final = timedelta(seconds=10)
COOLDOWN: Final = timedelta(minutes=5)
_FAILURES: Final = 3
KEDA_USER_VARIABLE: Final = "KEDA_KAFKA_USER"
"""The variable of a worker's container from which KEDA reads the name of its own Kafka user."""


def scaled_object(setting: Setting, lane: Lane) -> Manifest:
    """Make a lane's ScaledObject: one trigger, on the lag of its own group in its own topic."""
    name, size = setting.lane_name(lane), setting.size(lane)
    return manifest(
        "keda.sh/v1alpha1",
        "ScaledObject",
        name,
        setting.lane_labels(lane),
        spec={
            "scaleTargetRef": {"name": name, "envSourceContainerName": "headrace"},
            "minReplicaCount": size.min_replicas,
            # More pods than partitions would have nothing to do
            "maxReplicaCount": setting.max_replicas(lane),
            "pollingInterval": round(POLLING.total_seconds()),
            "cooldownPeriod": round(COOLDOWN.total_seconds()),
            # Where the lag cannot be read, what runs goes on: an error is not an empty lane
            "fallback": {
                "failureThreshold": _FAILURES,
                "replicas": max(1, size.min_replicas),
                "behavior": "currentReplicasIfHigher",
            },
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behaviour()}},
            "triggers": [
                external_trigger(setting, lane)
                if setting.profile.scaler is not None
                else _trigger(setting, lane)
            ],
        },
    )


def _behaviour() -> dict[str, Any]:
    """Up at once when it stays so for a minute, down a pod at a time: each step moves partitions."""
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": 60,
            # By default 63 of 64 wanted pods are near enough
            "tolerance": "0",
            "policies": [
                {"type": "Percent", "value": 100, "periodSeconds": 60},
                {"type": "Pods", "value": 4, "periodSeconds": 60},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": 600,
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 120}],
        },
    }


def _trigger(setting: Setting, lane: Lane) -> dict[str, Any]:
    metadata = {
        "bootstrapServers": setting.profile.kafka.bootstrap_servers,
        "consumerGroup": lane.topic,
        "topic": lane.topic,
        "lagThreshold": str(setting.size(lane).lag_threshold),
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
