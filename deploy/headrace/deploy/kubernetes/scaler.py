"""The external scaler's own objects: Deployment, Service, rights in Kubernetes, and who may reach it."""

from typing import Any, Final

from headrace.deploy.access import Role
from headrace.deploy.kubernetes.external_scaling import (
    COMPONENT,
    SCALER_PORT,
    scaler_authentication,
    scaler_of,
)
from headrace.deploy.kubernetes.lanes import (
    SERVICES_CLASS,
    deployment,
    disruption_budget,
    priority_class,
    recommendations,
)
from headrace.deploy.kubernetes.pods import PodOf
from headrace.deploy.kubernetes.setting import Manifest, Setting, manifest
from headrace.pipeline.durations import format_duration

PORT_NAME: Final = "grpc"
_CERTIFICATES: Final = "/etc/headrace/scaler"
_RIGHTS: Final = "rbac.authorization.k8s.io"
_RULES: Final = (
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "patch"]},
    {"apiGroups": ["keda.sh"], "resources": ["scaledobjects"], "verbs": ["get", "list", "patch"]},
)


def scaler_files(setting: Setting) -> dict[str, list[Manifest]]:
    """Give the manifests of each file by its name; none where the profile has no scaler."""
    if setting.profile.scaler is None:
        return {}
    name, pod = setting.component(COMPONENT), scaler_pod(setting)
    documents = [
        *_account(setting),
        deployment(setting, name, pod, replicas=setting.profile.scaler.replicas),
        _service(setting, pod),
        disruption_budget(name, pod.labels),
        *_network(setting, pod),
        scaler_authentication(setting),
        *recommendations(setting, name, pod.labels),
    ]
    return {"scaler.yaml": documents}


def scaler_pod(setting: Setting) -> PodOf:
    """Give the pods of the scaler."""
    scaler = scaler_of(setting)
    steers = scaler.steers_scaling_in
    return PodOf(
        Role.SCALER,
        ("scaler",),
        setting.labels(COMPONENT),
        environment=(
            ("HEADRACE_SCALER_ADDRESS", f"0.0.0.0:{SCALER_PORT}"),
            ("HEADRACE_SCALER_TLS_CERT", f"{_CERTIFICATES}/tls.crt"),
            ("HEADRACE_SCALER_TLS_KEY", f"{_CERTIFICATES}/tls.key"),
            ("HEADRACE_SCALER_TLS_CLIENT_CA", f"{_CERTIFICATES}/ca.crt"),
            ("HEADRACE_SCALER_START_TIME", format_duration(scaler.start_time)),
            ("HEADRACE_SCALER_SCALE_IN", str(steers).lower()),
        ),
        priority_class=priority_class(setting, SERVICES_CLASS),
        account=setting.component(COMPONENT) if steers else None,
        certificates=(scaler.certificates_secret, _CERTIFICATES),
        ports=((PORT_NAME, SCALER_PORT),),
    )


def _service(setting: Setting, pod: PodOf) -> Manifest:
    spec = {
        "selector": pod.labels,
        "ports": [{"name": PORT_NAME, "port": SCALER_PORT, "targetPort": PORT_NAME}],
        # While Kafka is away the scaler is not ready, and has to say why
        "publishNotReadyAddresses": True,
    }
    return manifest("v1", "Service", setting.component(COMPONENT), pod.labels, spec=spec)


def _account(setting: Setting) -> list[Manifest]:
    """Its own identity, where it changes anything: the pods and ScaledObjects of its namespace."""
    if not scaler_of(setting).steers_scaling_in:
        return []
    name, labels, api = setting.component(COMPONENT), setting.labels(COMPONENT), f"{_RIGHTS}/v1"
    account = manifest("v1", "ServiceAccount", name, labels)
    subject = {"kind": "ServiceAccount", "name": name}
    return [
        {**account, "automountServiceAccountToken": False},
        manifest(api, "Role", name, labels, rules=[dict(rule) for rule in _RULES]),
        manifest(
            api,
            "RoleBinding",
            name,
            labels,
            roleRef={"apiGroup": _RIGHTS, "kind": "Role", "name": name},
            subjects=[subject],
        ),
    ]


def _network(setting: Setting, pod: PodOf) -> list[Manifest]:
    scaler = scaler_of(setting)
    keda = {"matchLabels": {"kubernetes.io/metadata.name": scaler.keda_namespace}}
    asked = {
        "from": [{"namespaceSelector": keda}],
        "ports": [{"protocol": "TCP", "port": PORT_NAME}],
    }
    found = [_policy(setting, pod, "scaler", "Ingress", [asked])]
    if scaler.steers_scaling_in:
        ports = [{"protocol": "TCP", "port": port} for port in scaler.api_ports]
        to = [{"ipBlock": {"cidr": cidr}} for cidr in scaler.api_cidrs]
        found.append(_policy(setting, pod, "scaler-api", "Egress", [{"to": to, "ports": ports}]))
    return found


def _policy(
    setting: Setting, pod: PodOf, name: str, direction: str, rules: list[dict[str, Any]]
) -> Manifest:
    spec = {
        "podSelector": {"matchLabels": pod.labels},
        "policyTypes": [direction],
        direction.lower(): rules,
    }
    return manifest(
        "networking.k8s.io/v1", "NetworkPolicy", setting.component(name), pod.labels, spec=spec
    )
