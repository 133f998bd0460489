"""The rendered manifests of a pipeline, applied to a namespace of its own, and what KEDA makes of them.

Pods never start: their image is nowhere. How many there should be is all that is looked at; workers, where
a test wants some, are processes on this machine.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from headrace.deploy import tree
from headrace.deploy.kubernetes.setting import Setting
from headrace.deploy.profile import Profile, profile_of
from headrace.deploy.profile_scaler import ScalerProfile
from headrace.deploy.rendering import render_kubernetes
from headrace.deploy.scaling.plan import Plan
from headrace.deploy.scaling.strategies import STRATEGIES
from headrace.deploy.scaling.strategy import Strategy
from headrace.pipeline.broker.authority import Authority
from headrace.pipeline.broker.readiness import listens
from headrace.pipeline.durations import format_duration
from tests.cluster import paces, pipelines
from tests.cluster.kubectl import Cluster
from tests.support.stage import Stage, wait_until

PATIENCE = 180.0
"""Seconds for a decision: a cluster's autoscaler looks every 15 s, and KEDA asks for three failures."""
LANE = "default.normal"
OTHER = "default.low"
"""Has no work."""
JOBS_PER_SECOND = 5
WAIT = timedelta(seconds=2)
PER_POD = 10
"""Records for each pod: what it does in the wait."""
SYNC = timedelta(seconds=float(os.environ.get("CLUSTER_HPA_SYNC", "15")))
"""How often the cluster's autoscaler decides."""
_METRICS = "/apis/external.metrics.k8s.io/v1beta1"
_LEFT_OUT = "ResourceQuota"
"""It lets no pod in before a controller has counted, which clusters for tests may not run."""


@dataclass(frozen=True)
class ScalerSide:
    """An external scaler on this machine, where the rendered manifests have one in a pod.

    Attributes:
        address: `host:port` by which KEDA reaches it.
        authority: Who signed its certificate and KEDA's.
    """

    address: str
    authority: Authority

    @property
    def profile(self) -> ScalerProfile:
        return ScalerProfile("scaler-server", "scaler-client", timedelta(seconds=30))

    @contextmanager
    def serving(self, stage: Stage) -> Iterator[None]:
        """Have the scaler's process for the length of the block."""
        certificate, key = self.authority.issued("scaler")
        variables = {
            "HEADRACE_SCALER_ADDRESS": self.address,
            "HEADRACE_SCALER_TLS_CERT": str(certificate),
            "HEADRACE_SCALER_TLS_KEY": str(key),
            "HEADRACE_SCALER_TLS_CLIENT_CA": str(self.authority.certificate),
        }
        port = int(self.address.rpartition(":")[2])
        with stage.process("scaler", **variables) as process:
            wait_until("the scaler listens", lambda: listens(port), PATIENCE)
            yield
            process.terminate()

    def moved_to(self, manifests: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
        """Let KEDA ask here, with a certificate of its own."""
        for each in manifests:
            if each["kind"] == "ScaledObject":
                each["spec"]["triggers"][0]["metadata"]["scalerAddress"] = self.address
        # KEDA that finds no Secret asks without a certificate, and does not look again
        manifests.sort(key=lambda each: each["kind"] != "Namespace")
        return [manifests[0], self._client_secret(namespace), *manifests[1:]]

    def _client_secret(self, namespace: str) -> dict[str, Any]:
        certificate, key = self.authority.issued("keda")
        files = {"ca.crt": self.authority.certificate, "tls.crt": certificate, "tls.key": key}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.profile.client_secret, "namespace": namespace},
            "stringData": {name: file.read_text() for name, file in files.items()},
        }


@dataclass(frozen=True)
class Seen:
    """What a lane's objects say at one moment.

    Attributes:
        replicas: Pods that the Deployment should have.
        current: Pods that there are, as the autoscaler counts.
        desired: Pods that it wants; None where nothing has asked it yet.
        metric: What KEDA told it for each pod; None likewise.
        active: Whether KEDA sees anything to do.
        told: Whether the autoscaler gets its metric.
        fallback: Whether KEDA cannot ask, and tells the fallback's metric.
    """

    replicas: int
    current: int | None
    desired: int | None
    metric: str | None
    active: bool
    told: bool
    fallback: bool


@dataclass(frozen=True)
class Trial:
    """A pipeline whose manifests are on the cluster.

    Attributes:
        cluster: Where.
        stage: The pipeline, its topics and who runs it.
        namespace: Where its objects are.
        setting: What they were rendered from.
    """

    cluster: Cluster
    stage: Stage
    namespace: str
    setting: Setting

    @property
    def plan(self) -> Plan:
        """How the lane is scaled."""
        return _plan(self.setting)

    def name(self, lane: str = LANE) -> str:
        """A lane's objects."""
        return f"{self.stage.pipeline.name}-{lane.replace('.', '-')}"

    def seen(self, lane: str = LANE) -> Seen:
        """Look at a lane's objects."""
        name = self.name(lane)
        names = (f"deployment/{name}", f"scaledobject/{name}", f"hpa/keda-hpa-{name}")
        found = self.cluster.get(self.namespace, *names)
        autoscaler = found.get("HorizontalPodAutoscaler", {}).get("status", {})
        conditions = _conditions(found["ScaledObject"].get("status", {}))
        metrics = autoscaler.get("currentMetrics") or [{}]
        return Seen(
            found["Deployment"]["spec"]["replicas"],
            autoscaler.get("currentReplicas"),
            autoscaler.get("desiredReplicas"),
            metrics[0].get("external", {}).get("current", {}).get("averageValue"),
            conditions.get("Active", False),
            # KEDA's copy of it, HPAActive, stays as it was while KEDA cannot reach Kafka
            _conditions(autoscaler).get("ScalingActive", False),
            conditions.get("Fallback", False),
        )

    def ask(self) -> str:
        """Ask KEDA for the lane's metric, as the autoscaler does; gives its answer, or why there is none."""
        name = f"keda-hpa-{self.name()}"
        found = self.cluster.get(self.namespace, f"hpa/{name}")["HorizontalPodAutoscaler"]
        metric = found["spec"]["metrics"][0]["external"]["metric"]
        labels = ",".join(
            f"{key}={value}" for key, value in metric["selector"]["matchLabels"].items()
        )
        path = (
            f"{_METRICS}/namespaces/{self.namespace}/{metric['name']}?labelSelector={quote(labels)}"
        )
        return self.cluster.run("get", "--raw", path, check=False)

    def await_replicas(self, count: int, lane: str = LANE) -> None:
        """Wait until KEDA and the autoscaler want so many pods."""
        wanted = f"{count} pods of {self.name(lane)}"
        wait_until(wanted, lambda: self.seen(lane).replicas == count, PATIENCE)

    def put_to_sleep(self, lane: str = LANE) -> None:
        """Take a lane's pods away.

        KEDA does that at its next look, and when somebody else changes the Deployment just then, at the one
        after that: too late where it hardly ever looks.
        """
        words = ("scale", f"deployment/{self.name(lane)}", "--namespace", self.namespace)
        self.cluster.run(*words, "--replicas=0")
        self.await_replicas(0, lane)

    def await_seen(self, what: str, holds: Callable[[Seen], bool]) -> None:
        """Wait until the lane's objects say something."""
        wait_until(what, lambda: holds(self.seen()), PATIENCE)

    def submit(self, count: int, seconds: float = 0.0) -> list[str]:
        """Submit jobs; gives their ids."""
        with self.stage.producer() as producer:
            receipts = [producer.submit("nap", {"seconds": seconds}) for _ in range(count)]
            producer.flush()
            return [receipt.job_id for receipt in receipts]


@contextmanager
def trial(
    cluster: Cluster,
    name: str,
    bootstrap: str,
    folder: Path,
    pace: Strategy = paces.AT_ONCE,
    *,
    most: int = pipelines.PARTITIONS,
    wait: timedelta = WAIT,
    scaler: ScalerSide | None = None,
) -> Iterator[Trial]:
    """Have a pipeline's topics and manifests for the length of the block.

    Args:
        cluster: Where.
        name: Of the pipeline.
        bootstrap: Where Kafka is.
        folder: For what is rendered.
        pace: How its lanes are scaled: one of `paces`, or of the built-in strategies.
        most: Pods of a lane at most.
        wait: How long a job may lie ready; a pod is for what it does in it.
        scaler: Where the external scaler is, for lanes that are scaled by it.
    """
    stage = Stage.build(name, bootstrap, folder, pipelines)
    profile = _profile(bootstrap, pace, most, wait)
    if scaler is not None:
        profile = replace(profile, scaler=scaler.profile)
    setting = Setting(stage.pipeline, pipelines.reference(name), profile)
    namespace = f"{name}-trial"
    manifests = _manifests(cluster, setting, folder)
    if scaler is not None:
        manifests = scaler.moved_to(manifests, namespace)
    with scaler.serving(stage) if scaler else nullcontext(), cluster.applied(manifests, namespace):
        try:
            yield Trial(cluster, stage, namespace, setting)
        finally:
            stage.close()


def plan_of(pace: Strategy, wait: timedelta, most: int = pipelines.PARTITIONS) -> Plan:
    """Give how the lane of a trial was scaled, without the trial."""
    profile = _profile("nowhere:9092", pace, most, wait)
    return _plan(Setting(pipelines.make("trial"), pipelines.reference("trial"), profile))


def _conditions(status: dict[str, Any]) -> dict[str, bool]:
    return {each["type"]: each["status"] == "True" for each in status.get("conditions", [])}


def _plan(setting: Setting) -> Plan:
    name = f"{setting.pipeline.name}.{LANE}"
    [lane] = [lane for lane in setting.pipeline.topology.lanes() if lane.topic == name]
    return setting.plan(lane)


def _profile(bootstrap: str, pace: Strategy, most: int, wait: timedelta) -> Profile:
    size = {
        "min_replicas": 0,
        "max_replicas": most,
        "jobs_per_second": JOBS_PER_SECOND,
        "wait": format_duration(wait),
        "strategy": _reference(pace),
    }
    given = {
        "image": "headrace.invalid/trial:0",
        "pod_monitor": False,
        "recommendations": False,
        "kafka": {"bootstrap_servers": bootstrap},
        "lanes": dict.fromkeys((LANE, OTHER), size),
        "environments": {"trial": {}},
    }
    return profile_of(given, "the trial")


def _reference(pace: Strategy) -> str:
    if pace.name in STRATEGIES:
        return pace.name
    [name] = [name for name, each in vars(paces).items() if each is pace]
    return f"{paces.__name__}:{name}"


def _manifests(cluster: Cluster, setting: Setting, folder: Path) -> list[dict[str, Any]]:
    """Render, and have kustomize put the overlay together."""
    files = render_kubernetes(setting.pipeline, setting.reference, setting.profile)
    tree.write(folder / "manifests", files)
    made = cluster.kustomized(folder / "manifests/overlays/trial")
    return [each for each in made if each["kind"] != _LEFT_OUT]
