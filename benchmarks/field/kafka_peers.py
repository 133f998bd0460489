"""Systems on Kafka, each with what its own documentation recommends for throughput."""

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.field.contract import Feature, Run, ServiceKind, Setting
from benchmarks.field.peers import Peer
from benchmarks.field.redis_peers import TASKIQ

_APPS = "benchmarks.field.apps"
_ONE_BY_ONE = Setting(1, 1)
TASKIQ_KAFKA = replace(
    TASKIQ,
    name="taskiq-kafka",
    title="taskiq-aio-kafka",
    service=ServiceKind.KAFKA,
    requirements="taskiq_kafka",
    packages=("taskiq", "taskiq-aio-kafka", "aiokafka"),
    features=TASKIQ.features | {Feature.PARTITIONS},
    durability="acks=1 (its default); offsets committed by time, whatever became of the jobs",
    source="github.com/taskiq-python/taskiq-aio-kafka",
)


def _faststream(run: Run) -> Sequence[Sequence[str]]:
    command = ["faststream", "run", f"{_APPS}.faststream_app:app", "--log-level", "error"]
    return [command] * run.setting.processes


FASTSTREAM = Peer(
    name="faststream",
    title="FastStream",
    service=ServiceKind.KAFKA,
    app="faststream_app",
    requirements="faststream",
    packages=("faststream", "confluent-kafka"),
    commands=_faststream,
    features=frozenset((Feature.NAPS, Feature.PARTITIONS)),
    durability="acks=1 (its default); offsets committed by time before jobs run (ACK_FIRST, the "
    "fastest it offers)",
    source="faststream.ag2.ai, confluent: max_workers, ACK_FIRST",
    sweep=(Setting(1, 1), Setting(1, 16), Setting(1, 100), Setting(2, 16)),
    naps=lambda in_flight: Setting(1, in_flight),
    spins=Setting(2, 1),
)


def _faust(run: Run) -> Sequence[Sequence[str]]:
    command = ["faust", "-A", f"{_APPS}.faust_app:app", "-l", "error", "worker"]
    return [
        ["faust", "--datadir", f"{run.log}-faust-{number}", *command[1:], "--without-web"]
        for number in range(run.setting.processes)
    ]


FAUST = Peer(
    name="faust",
    title="Faust",
    service=ServiceKind.KAFKA,
    app="faust_app",
    requirements="faust",
    packages=("faust-streaming", "aiokafka"),
    commands=_faust,
    features=frozenset((Feature.NAPS, Feature.PARTITIONS)),
    durability="acks=all; offsets committed by time; an event whose handler raises is acknowledged",
    source="faust-streaming.github.io, userguide/agents: concurrency",
    sweep=(Setting(1, 1), Setting(1, 100), Setting(2, 1)),
    naps=lambda in_flight: Setting(1, in_flight),
    spins=Setting(2, 1),
)
QUIX = Peer(
    name="quixstreams",
    title="Quix Streams",
    service=ServiceKind.KAFKA,
    app="quixstreams_app",
    requirements="quixstreams",
    packages=("quixstreams", "confluent-kafka"),
    commands=lambda run: [["python", "-m", f"{_APPS}.quixstreams_app"]] * run.setting.processes,
    features=frozenset((Feature.PARTITIONS,)),
    durability="acks=all, idempotent; offsets committed every 5 s, after the records ran",
    source="quix.io/docs/quix-streams, configuration",
    sweep=(_ONE_BY_ONE, Setting(2, 1)),
    spins=Setting(2, 1),
)
