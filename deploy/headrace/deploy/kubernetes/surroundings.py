"""What the pods live among: identity, settings, network and bounds."""

from collections.abc import Iterable
from typing import Any, Final

from headrace.deploy.kubernetes.lanes import lane_pod, priority_classes
from headrace.deploy.kubernetes.monitoring import monitoring
from headrace.deploy.kubernetes.pod_settings import shared_settings
from headrace.deploy.kubernetes.pods import PORT_NAME, cores
from headrace.deploy.kubernetes.scaling import trigger_authentication
from headrace.deploy.kubernetes.services import service_pods
from headrace.deploy.kubernetes.setting import Manifest, Setting, manifest

_SURGE: Final = 1
"""Pods that each Deployment may have more while it is updated."""
_POLICY: Final = "networking.k8s.io/v1"


def surrounding_files(setting: Setting) -> dict[str, list[Manifest]]:
    """Give the manifests of each file by its name."""
    files = {
        "identity.yaml": [_account(setting)],
        "settings.yaml": [_settings(setting)],
        "network.yaml": _network(setting),
        "bounds.yaml": [_quota(setting), _limits(setting)],
        "priorities.yaml": priority_classes(setting),
    }
    if setting.profile.pod_monitor:
        files["monitoring.yaml"] = monitoring(setting)
    # Where a scaler answers KEDA, Kafka is not asked
    asks_kafka = setting.profile.scaler is None
    authentication = trigger_authentication(setting) if asks_kafka else None
    return files | ({"keda.yaml": [authentication]} if authentication else {})


def _account(setting: Setting) -> Manifest:
    """Our processes ask nothing of Kubernetes, so they get no token."""
    name = setting.pipeline.name
    return {
        **manifest("v1", "ServiceAccount", name, setting.everything),
        "automountServiceAccountToken": False,
    }


def _settings(setting: Setting) -> Manifest:
    name, labels = setting.settings_name, setting.everything
    return manifest("v1", "ConfigMap", name, labels, data=shared_settings(setting))


def _network(setting: Setting) -> list[Manifest]:
    everything = {"matchLabels": setting.everything}
    scrape = {
        "from": [{"namespaceSelector": _namespace(setting.profile.monitoring_namespace)}],
        "ports": [{"protocol": "TCP", "port": PORT_NAME}],
    }
    found = [
        _policy(setting, "closed", everything, ingress=[], egress=[]),
        _policy(setting, "scraped", everything, ingress=[scrape]),
        _policy(setting, "kafka", everything, egress=[_names(), _brokers(setting)]),
    ]
    if setting.profile.egress:
        workers = {"matchLabels": setting.labels("worker")}
        places = [
            _place(each.cidr, each.ports, each.except_cidrs) for each in setting.profile.egress
        ]
        found.append(_policy(setting, "handlers", workers, egress=places))
    if setting.profile.store_secret and setting.profile.store_cidrs:
        projector = {"matchLabels": setting.labels("projector")}
        ports = (setting.profile.store_port,)
        places = [_place(cidr, ports) for cidr in setting.profile.store_cidrs]
        found.append(_policy(setting, "store", projector, egress=places))
    return found


def _policy(setting: Setting, name: str, pods: Any, **rules: list[Any]) -> Manifest:
    types = [kind.capitalize() for kind in rules]
    spec = {"podSelector": pods, "policyTypes": types, **{k: v for k, v in rules.items() if v}}
    return manifest(
        _POLICY, "NetworkPolicy", setting.component(name), setting.everything, spec=spec
    )


def _names() -> dict[str, Any]:
    return {
        "to": [
            {
                "namespaceSelector": _namespace("kube-system"),
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            }
        ],
        "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")],
    }


def _brokers(setting: Setting) -> dict[str, Any]:
    kafka = setting.profile.kafka
    inside = {
        "namespaceSelector": _namespace(kafka.namespace),
        "podSelector": {"matchLabels": dict(kafka.selector)},
    }
    places = [{"ipBlock": {"cidr": cidr}} for cidr in kafka.cidrs] or [inside]
    return {"to": places, "ports": _tcp(kafka.ports)}


def _place(cidr: str, ports: Iterable[int], but: Iterable[str] = ()) -> dict[str, Any]:
    block: dict[str, Any] = {"cidr": cidr}
    if left_out := list(but):
        block["except"] = left_out
    return {"to": [{"ipBlock": block}], "ports": _tcp(ports)}


def _tcp(ports: Iterable[int]) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def _namespace(name: str) -> dict[str, Any]:
    return {"matchLabels": {"kubernetes.io/metadata.name": name}}


def _quota(setting: Setting) -> Manifest:
    """What all lanes need together when each has all the pods that it may have, and no more."""
    lanes = setting.pipeline.topology.lanes()
    pods = [(lane_pod(setting, lane), setting.max_replicas(lane)) for lane in lanes]
    pods += service_pods(setting)
    counted = [(pod, count + _SURGE) for pod, count in pods]
    jobs = 1
    memory = sum(pod.memory * count for pod, count in counted) + 256 * jobs
    hard = {
        "pods": str(sum(count for _, count in counted) + jobs),
        "requests.cpu": cores(sum(pod.cpu * count for pod, count in counted) + 0.1 * jobs),
        "limits.cpu": cores(sum(pod.cpu_limit * count for pod, count in counted) + jobs),
        "requests.memory": f"{memory}Mi",
        "limits.memory": f"{memory}Mi",
    }
    name = setting.pipeline.name
    return manifest("v1", "ResourceQuota", name, setting.everything, spec={"hard": hard})


def _limits(setting: Setting) -> Manifest:
    """What a container gets that names nothing, such as one for debugging."""
    limit = {
        "type": "Container",
        "defaultRequest": {"cpu": "50m", "memory": "64Mi"},
        "default": {"cpu": "500m", "memory": "256Mi"},
    }
    name = setting.pipeline.name
    return manifest("v1", "LimitRange", name, setting.everything, spec={"limits": [limit]})
