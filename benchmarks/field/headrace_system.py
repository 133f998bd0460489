"""Headrace and the bare loop: what lives in the project's own environment."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.field.contract import Feature, Run, ServiceKind, Setting
from benchmarks.field.peers import Peer

REFERENCE = "benchmarks.field.apps.headrace_app:bench"
_HIGHEST = 10_000


@dataclass(frozen=True)
class HeadraceSystem(Peer):
    """Headrace, told by its settings what a run wants."""

    def environment(self, run: Run) -> dict[str, str]:
        """Add Headrace's own variables."""
        return super().environment(run) | {
            "HEADRACE_BOOTSTRAP_SERVERS": run.url,
            "HEADRACE_WORKER_TRANSITIONS": "true" if run.transitions else "false",
            "HEADRACE_LOG_LEVEL": "error",
            "HEADRACE_HTTP_ENABLED": "false",
        }


def _worker(run: Run) -> Sequence[Sequence[str]]:
    setting = run.setting
    worker = ["headrace", "worker", REFERENCE]
    worker += ["--concurrency", str(setting.in_flight), "--processes", str(setting.processes)]
    if setting.pool != "with-scheduler":
        return [worker]
    return [worker, ["headrace", "scheduler", REFERENCE]]  # which moves retries when they are due


HEADRACE = HeadraceSystem(
    name="headrace",
    title="Headrace",
    service=ServiceKind.KAFKA,
    app="headrace_app",
    requirements=None,
    packages=("headrace", "confluent-kafka", "fastavro", "uvloop"),
    commands=_worker,
    features=frozenset(Feature) - {Feature.HEADERS},
    durability="acks=all, idempotent; runs again after a crash; outcome stored before the commit; "
    "transitions published",
    source="docs/reference/settings.md",
    sweep=(Setting(1, 100), Setting(1, 400), Setting(2, 100)),
    naps=lambda in_flight: Setting(1, min(in_flight, _HIGHEST)),
    spins=Setting(1, 2, "process"),
)
BARE = Peer(
    name="bare",
    title="bare confluent-kafka loop",
    service=ServiceKind.KAFKA,
    app="bare_app",
    requirements=None,
    packages=("confluent-kafka",),
    commands=lambda run: (
        [["python", "-m", "benchmarks.field.apps.bare_app"]] * run.setting.processes
    ),
    features=frozenset((Feature.PARTITIONS, Feature.HEADERS)),
    durability="acks=all, idempotent; commits after each batch, whatever became of its jobs",
    source="the physical limit: no retries, no outcomes, no concurrency",
    sweep=(Setting(1, 1), Setting(2, 1)),
)
