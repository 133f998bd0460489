"""The pods: what each runs, how it is asked how it is, how it stops, and what it may not do."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from headrace.deploy.access import Role
from headrace.deploy.kubernetes.placement import affinity, spread, tolerations
from headrace.deploy.kubernetes.pod_settings import CA, CREDENTIALS, PORT, own_settings, variable
from headrace.deploy.kubernetes.setting import Setting
from headrace.deploy.profile_kafka import Security
from headrace.deploy.sizing import STOP_RESERVE

PORT_NAME: Final = "http"
PRE_STOP: Final = timedelta(seconds=5)
"""Before a pod is told to stop: one that takes its place has joined the group by then, so that the
partitions move once."""
_USER: Final = 10001
"""The user of the image, by number: Kubernetes can see that it is not root."""
_KEYS: Final = {Security.SCRAM: ("password",), Security.MUTUAL_TLS: ("user.crt", "user.key")}
"""Of a role's Secret. Strimzi's own hold more, which nobody here needs."""


@dataclass(frozen=True, slots=True)
class PodOf:
    """One kind of pod.

    Attributes:
        role: As whom it talks to Kafka.
        arguments: Of the `headrace` command.
        labels: Its own.
        drain: How long it lets running jobs end when it is told to stop.
        cpu: Cores that it is promised.
        cpu_limit: Cores at most.
        memory: MiB, promised and at most.
        environment: Variables beside those that all share.
        secrets: Secrets whose keys become variables.
        spot: Whether it may run on nodes that go away at short notice.
        priority_class: Who gives way when nodes are full.
        scratch: MiB of `/tmp`, which is memory.
        account: A service account of its own, whose token it gets; it gets none otherwise.
        certificates: A Secret with `tls.crt`, `tls.key` and `ca.crt`, and the folder for them.
        ports: Further ports, by name.
    """

    role: Role
    arguments: tuple[str, ...]
    labels: dict[str, str]
    drain: timedelta = timedelta()
    cpu: float = 0.1
    cpu_limit: float = 1.0
    memory: int = 256
    environment: tuple[tuple[str, Any], ...] = ()
    secrets: tuple[str, ...] = ()
    spot: bool = False
    priority_class: str | None = None
    scratch: int = 64
    account: str | None = None
    certificates: tuple[str, str] | None = None
    ports: tuple[tuple[str, int], ...] = ()

    @property
    def grace(self) -> int:
        """Seconds until Kubernetes kills a pod that was told to stop."""
        return round((PRE_STOP + self.drain + STOP_RESERVE).total_seconds())


def pod_template(setting: Setting, pod: PodOf) -> dict[str, Any]:
    """Make the template of a Deployment that serves until it is stopped."""
    return {
        "metadata": {"labels": pod.labels},
        "spec": _given(
            {
                **_common(setting, pod, [{**_container(setting, pod), **_service(pod)}]),
                "terminationGracePeriodSeconds": pod.grace,
                "topologySpreadConstraints": spread(pod.labels),
                "affinity": affinity(setting, pod.labels, spot=pod.spot),
                "tolerations": tolerations(setting) if pod.spot else None,
            }
        ),
    }


def job_template(setting: Setting, pod: PodOf) -> dict[str, Any]:
    """Make the template of a pod that does one thing and ends."""
    return {
        "metadata": {"labels": pod.labels},
        "spec": _given(
            {
                **_common(setting, pod, [_container(setting, pod)]),
                "restartPolicy": "OnFailure",
            }
        ),
    }


def cores(value: float) -> str:
    """Write cores as Kubernetes does: `250m`, `2`."""
    millis = round(value * 1000)
    return f"{millis}m" if millis % 1000 else str(millis // 1000)


def _common(setting: Setting, pod: PodOf, containers: list[Any]) -> dict[str, Any]:
    pull = setting.profile.pull_secret
    return {
        "serviceAccountName": pod.account or setting.pipeline.name,
        "automountServiceAccountToken": pod.account is not None,
        # Variables for every Service of the namespace are no settings of ours
        "enableServiceLinks": False,
        "priorityClassName": pod.priority_class,
        "imagePullSecrets": [{"name": pull}] if pull else None,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": containers,
        "volumes": _volumes(setting, pod),
    }


def _container(setting: Setting, pod: PodOf) -> dict[str, Any]:
    sources = [{"configMapRef": {"name": setting.settings_name}}]
    sources += [{"secretRef": {"name": name}} for name in pod.secrets]
    return {
        "name": "headrace",
        "image": setting.profile.image,
        "args": list(pod.arguments),
        "envFrom": sources,
        "env": [
            variable(name, value)
            for name, value in (*own_settings(setting, pod.role), *pod.environment)
        ],
        "resources": {
            "requests": {"cpu": cores(pod.cpu), "memory": f"{pod.memory}Mi"},
            "limits": {"cpu": cores(pod.cpu_limit), "memory": f"{pod.memory}Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": _mounts(setting, pod),
    }


def _service(pod: PodOf) -> dict[str, Any]:
    """What a container has that stays: a moment before it is stopped, its port and its probes."""
    return {
        "ports": [
            {"name": name, "containerPort": port} for name, port in ((PORT_NAME, PORT), *pod.ports)
        ],
        # Importing the handlers may take long: the others begin when this one has succeeded
        "startupProbe": _probe("live", period=2, failures=60),
        "livenessProbe": _probe("live", period=10, failures=6),
        "readinessProbe": _probe("ready", period=5, failures=2),
        "lifecycle": {"preStop": {"sleep": {"seconds": round(PRE_STOP.total_seconds())}}},
    }


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": f"/health/{path}", "port": PORT_NAME},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _mounts(setting: Setting, pod: PodOf) -> list[dict[str, Any]]:
    kafka = setting.profile.kafka
    found: list[dict[str, Any]] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
    if kafka.security is not Security.PLAINTEXT:
        found.append({"name": "credentials", "mountPath": CREDENTIALS, "readOnly": True})
        if kafka.ca_secret:
            found.append({"name": "ca", "mountPath": CA, "readOnly": True})
    if pod.certificates:
        place = pod.certificates[1]
        found.append({"name": "certificates", "mountPath": place, "readOnly": True})
    return found


def _volumes(setting: Setting, pod: PodOf) -> list[dict[str, Any]]:
    kafka = setting.profile.kafka
    found: list[dict[str, Any]] = [
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": f"{pod.scratch}Mi"}}
    ]
    if kafka.security is not Security.PLAINTEXT:
        keys = _KEYS[kafka.security]
        found.append({"name": "credentials", "secret": _secret(setting.user(pod.role), keys)})
        if kafka.ca_secret:
            secret = {"secretName": kafka.ca_secret, "items": [{"key": "ca.crt", "path": "ca.crt"}]}
            found.append({"name": "ca", "secret": secret})
    if pod.certificates:
        secret = _secret(pod.certificates[0], ("tls.crt", "tls.key", "ca.crt"))
        found.append({"name": "certificates", "secret": secret})
    return found


def _secret(name: str, keys: tuple[str, ...]) -> dict[str, Any]:
    return {
        "secretName": name,
        # Readable by the pod's group alone
        "defaultMode": 0o440,
        "items": [{"key": key, "path": key} for key in keys],
    }


def _given(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parts.items() if value is not None}
