"""How KEDA asks our scaler rather than Kafka: a lane's trigger, and what KEDA proves itself with.

What the metadata mean is the scaler's to say: `headrace.processors.scaler.trigger`.
"""

from typing import Any, Final

from headrace.deploy.kubernetes.setting import Manifest, Setting, manifest
from headrace.deploy.profile_scaler import ScalerProfile
from headrace.pipeline.queues import Lane

COMPONENT: Final = "scaler"
SCALER_PORT: Final = 6000
_KEYS: Final = {"caCert": "ca.crt", "tlsClientCert": "tls.crt", "tlsClientKey": "tls.key"}


def external_trigger(setting: Setting, lane: Lane) -> dict[str, Any]:
    """Make the trigger of a lane that is scaled by the external scaler.

    Raises:
        ValueError: The profile has no `[scaler]`.
    """
    scaler, plan = scaler_of(setting), setting.plan(lane)
    metadata = {
        "scalerAddress": scaler_address(setting),
        # Without it KEDA that finds no Secret asks in plain text
        "enableTLS": "true",
        "pipeline": setting.pipeline.name,
        "lane": lane.topic,
        "target": str(plan.threshold),
        "startTime": f"{scaler.start_time.total_seconds():g}",
        "maxReplicas": str(plan.most),
        "forecast": str(plan.expects).lower(),
    }
    reference = {"name": setting.component(COMPONENT)}
    return {"type": "external-push", "metadata": metadata, "authenticationRef": reference}


def scaler_of(setting: Setting) -> ScalerProfile:
    """Give the profile's scaler.

    Raises:
        ValueError: It has none.
    """
    if setting.profile.scaler is None:
        raise ValueError("the profile has no [scaler]")
    return setting.profile.scaler


def scaler_address(setting: Setting, namespace: str | None = None) -> str:
    """Say where KEDA finds the scaler: by its namespace, since KEDA lives in another.

    The base knows none; each overlay puts its own in.
    """
    host = setting.component(COMPONENT)
    return f"{host}.{namespace}:{SCALER_PORT}" if namespace else f"{host}:{SCALER_PORT}"


def scaler_authentication(setting: Setting) -> Manifest:
    """Make what all lanes' triggers refer to."""
    name, secret = setting.component(COMPONENT), scaler_of(setting).client_secret
    targets = [{"parameter": what, "name": secret, "key": key} for what, key in _KEYS.items()]
    spec = {"secretTargetRef": targets}
    labels = setting.labels("keda")
    return manifest("keda.sh/v1alpha1", "TriggerAuthentication", name, labels, spec=spec)
