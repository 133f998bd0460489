"""Systems on Redis and on PostgreSQL, each with what its own documentation recommends for throughput."""

from collections.abc import Sequence

from benchmarks.field.contract import Feature, Run, ServiceKind, Setting
from benchmarks.field.peers import Peer

_APPS = "benchmarks.field.apps"


def _celery(run: Run) -> Sequence[Sequence[str]]:
    setting = run.setting
    queues = ",".join((run.name, f"{run.name}-high", f"{run.name}-low"))
    command = ["celery", "-A", f"{_APPS}.celery_app", "worker", "-l", "ERROR", "-O", "fair"]
    command += ["-Q", queues, "--without-gossip", "--without-mingle", "--without-heartbeat"]
    if setting.pool == "gevent":
        command += ["-P", "gevent", "-c", str(setting.in_flight)]
        return [[*command, "-n", f"{number}@bench"] for number in range(setting.processes)]
    return [[*command, "-P", "prefork", "-c", str(setting.processes)]]


CELERY = Peer(
    name="celery",
    title="Celery",
    service=ServiceKind.REDIS,
    app="celery_app",
    requirements="celery",
    packages=("celery", "kombu", "redis"),
    commands=_celery,
    features=frozenset((Feature.NAPS, Feature.RETRIES, Feature.PRIORITIES)),
    durability="acknowledged before it runs (the default): what runs is lost with its worker",
    source="docs.celeryq.dev, userguide/optimizing: prefetch multiplier 64, -O fair",
    sweep=(
        Setting(1, 1, "prefork"),
        Setting(2, 1, "prefork"),
        Setting(4, 1, "prefork"),
        Setting(1, 100, "gevent"),
        Setting(2, 100, "gevent"),
    ),
    naps=lambda in_flight: Setting(1, in_flight, "gevent"),
    spins=Setting(2, 1, "prefork"),
)


def _dramatiq(run: Run) -> Sequence[Sequence[str]]:
    setting = run.setting
    program = "dramatiq-gevent" if setting.pool == "gevent" else "dramatiq"
    sizes = ["-p", str(setting.processes), "-t", str(setting.in_flight)]
    return [[program, f"{_APPS}.dramatiq_app", *sizes]]


DRAMATIQ = Peer(
    name="dramatiq",
    title="Dramatiq",
    service=ServiceKind.REDIS,
    app="dramatiq_app",
    requirements="dramatiq",
    packages=("dramatiq", "redis"),
    commands=_dramatiq,
    features=frozenset((Feature.NAPS, Feature.RETRIES, Feature.LETTERS)),
    durability="acknowledged after it ran; a dead worker's jobs come back",
    source="dramatiq.io, guide and advanced: processes, threads, dramatiq-gevent",
    sweep=(
        Setting(1, 8),
        Setting(1, 32),
        Setting(2, 8),
        Setting(1, 64, "gevent"),
        Setting(2, 64, "gevent"),
    ),
    naps=lambda in_flight: Setting(1, in_flight, "gevent" if in_flight > 64 else ""),
    spins=Setting(2, 1),
)


def _huey(run: Run) -> Sequence[Sequence[str]]:
    setting = run.setting
    kind = setting.pool
    workers = setting.processes if kind == "process" else setting.in_flight
    command = ["huey_consumer", f"{_APPS}.huey_app.huey", "-k", kind, "-w", str(workers)]
    command += ["-d", "0.01", "-m", "0.1", "-q"]
    return [command] * (1 if kind == "process" else setting.processes)


HUEY = Peer(
    name="huey",
    title="Huey",
    service=ServiceKind.REDIS,
    app="huey_app",
    requirements="huey",
    packages=("huey", "redis"),
    commands=_huey,
    features=frozenset((Feature.NAPS, Feature.RETRIES)),
    durability="taken off the queue before it runs: what runs is lost with its worker",
    source="huey.readthedocs.io, consumer: worker types and numbers; results=False",
    sweep=(
        Setting(1, 4, "thread"),
        Setting(1, 16, "thread"),
        Setting(1, 64, "greenlet"),
        Setting(2, 1, "process"),
        Setting(2, 16, "thread"),
    ),
    naps=lambda in_flight: Setting(1, in_flight, "greenlet" if in_flight > 64 else "thread"),
    spins=Setting(2, 1, "process"),
)


def _rq(run: Run) -> Sequence[Sequence[str]]:
    queues = [run.name, f"{run.name}-high", f"{run.name}-low"]
    command = ["rq", "worker", "--url", run.url, "--quiet"]
    if run.setting.pool == "simple":
        command += ["--worker-class", "rq.worker.SimpleWorker"]
    return [[*command, "--with-scheduler", *queues]] * run.setting.processes


RQ = Peer(
    name="rq",
    title="RQ",
    service=ServiceKind.REDIS,
    app="rq_app",
    requirements="rq",
    packages=("rq", "redis"),
    commands=_rq,
    features=frozenset((Feature.RETRIES, Feature.LETTERS, Feature.REPLAY, Feature.PRIORITIES)),
    durability="kept until it ran; what runs when a worker dies is put among the failed",
    source="python-rq.org, docs/workers: SimpleWorker does not fork; enqueue_many",
    sweep=(
        Setting(1, 1, "simple"),
        Setting(1, 1, "fork"),
        Setting(2, 1, "simple"),
        Setting(4, 1, "simple"),
    ),
    spins=Setting(2, 1, "simple"),
)

ARQ = Peer(
    name="arq",
    title="arq",
    service=ServiceKind.REDIS,
    app="arq_app",
    requirements="arq",
    packages=("arq", "redis"),
    commands=lambda run: [["arq", f"{_APPS}.arq_app.WorkerSettings"]] * run.setting.processes,
    features=frozenset((Feature.NAPS, Feature.RETRIES)),
    durability="kept until it ran; a dead worker's jobs run again",
    source="arq-docs.helpmanual.io: max_jobs, keep_result=0, poll_delay",
    sweep=(Setting(1, 10), Setting(1, 100), Setting(1, 400), Setting(2, 100)),
    naps=lambda in_flight: Setting(1, in_flight),
    spins=Setting(2, 1),
)


def _taskiq(run: Run) -> Sequence[Sequence[str]]:
    setting = run.setting
    command = ["taskiq", "worker", f"{_APPS}.taskiq_app:broker", "--log-level", "ERROR"]
    command += ["--workers", str(setting.processes)]
    command += ["--max-async-tasks", str(setting.in_flight)]
    return [[*command, "--max-prefetch", str(setting.in_flight)]]


TASKIQ = Peer(
    name="taskiq",
    title="Taskiq",
    service=ServiceKind.REDIS,
    app="taskiq_app",
    requirements="taskiq",
    packages=("taskiq", "taskiq-redis", "redis"),
    commands=_taskiq,
    features=frozenset((Feature.NAPS, Feature.RETRIES)),
    durability="a Redis stream: acknowledged after it ran",
    source="taskiq-python.github.io, guide/cli and RedisStreamBroker: the broker it recommends",
    sweep=(Setting(1, 100), Setting(1, 400), Setting(2, 100)),
    naps=lambda in_flight: Setting(1, in_flight),
    spins=Setting(2, 1),
)


def _procrastinate(run: Run) -> Sequence[Sequence[str]]:
    app = f"--app={_APPS}.procrastinate_app.app"
    command = ["procrastinate", app, "worker", "--concurrency", str(run.setting.in_flight)]
    return [command] * run.setting.processes


PROCRASTINATE = Peer(
    name="procrastinate",
    title="Procrastinate",
    service=ServiceKind.POSTGRES,
    app="procrastinate_app",
    requirements="procrastinate",
    packages=("procrastinate", "psycopg"),
    commands=_procrastinate,
    features=frozenset((Feature.NAPS, Feature.RETRIES, Feature.LETTERS, Feature.PRIORITIES)),
    durability="each job committed to disk; its state committed after it ran; what runs when a worker "
    "dies waits until the user's own code retries it",
    source="procrastinate.readthedocs.io, howto/advanced: concurrency, batch_defer",
    sweep=(Setting(1, 10), Setting(1, 50), Setting(2, 10)),
    naps=lambda in_flight: Setting(1, in_flight),
    spins=Setting(2, 1),
)
