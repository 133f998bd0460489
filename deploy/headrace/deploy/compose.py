"""`docker-compose.yml` from a pipeline's declaration.

The services: `kafka`; `topics`, which makes the topics and ends; `worker` and `scheduler`, what a
plain `docker compose up` runs. In profiles: `specialized`, a worker service for each priority;
`by-type`, one for the job types of each queue; `scheduler-only`, a worker process that runs no jobs;
`thin`, one process that does everything; `monitoring`, Prometheus, Grafana and Jaeger.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from headrace.deploy.compose_kafka import KAFKA_VOLUME, kafka_service
from headrace.deploy.compose_monitoring import (
    TRACES_ADDRESS,
    monitoring_configs,
    monitoring_services,
    monitoring_volumes,
)
from headrace.deploy.compose_parts import (
    HOST_NETWORK,
    KAFKA_CLIENT_ADDRESS,
    KAFKA_NETWORK,
    METRICS_NETWORK,
    OUTSIDE_NETWORK,
    PROCESS_PORT,
    hardened,
    healthcheck,
)
from headrace.deploy.sizing import SCHEDULER_GRACE, STOP_RESERVE, Sizing, Work, priorities_of
from headrace.deploy.yaml_text import to_yaml
from headrace.pipeline.durations import format_duration
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import WorkerMode

KAFKA_IMAGE: Final = "apache/kafka:4.3.1"
SPECIALIZED: Final = "specialized"
THIN: Final = "thin"
BY_TYPE: Final = "by-type"
SCHEDULER_ONLY: Final = "scheduler-only"
_ASK: Final = (
    "import urllib.request as r; "
    f"r.urlopen('http://127.0.0.1:{PROCESS_PORT}/health/ready', timeout=8).close()"
)


@dataclass(frozen=True, slots=True)
class ComposeOptions:
    """What a declaration does not say about its Compose file.

    Attributes:
        image: An image that holds Headrace and the pipeline's code. Without one it is built.
        dockerfile: What it is built from, seen from the folder of the Compose file.
        kafka_image: Apache's image, or one that takes the same variables.
        sizing: How large the workers are.
    """

    image: str | None = None
    dockerfile: str = "deploy/images/Dockerfile"
    kafka_image: str = KAFKA_IMAGE
    sizing: Sizing = field(default_factory=Sizing)


def render_compose(
    pipeline: Pipeline, reference: str, options: ComposeOptions | None = None
) -> str:
    """Write the Compose file of a pipeline.

    The same declaration gives the same text: nothing is read from the environment, so no secret
    can get in.

    Args:
        pipeline: The declaration.
        reference: Where the containers find it, `module:attribute`.
        options: What the declaration does not say.

    Raises:
        YamlMissingError: PyYAML is not installed.
    """
    options = options or ComposeOptions()
    document = compose_document(pipeline, reference, options)
    return _head(reference, options) + to_yaml(document, spaced=("services",))


def compose_document(pipeline: Pipeline, reference: str, options: ComposeOptions) -> dict[str, Any]:
    """Give what `render_compose` writes, as plain values."""
    services = _Services(pipeline, reference, options).all()
    scraped = [name for name, service in services.items() if "expose" in service]
    return {
        "name": pipeline.name,
        "services": services | monitoring_services(),
        "configs": monitoring_configs(scraped),
        "networks": {
            KAFKA_NETWORK: {"internal": True},
            METRICS_NETWORK: {"internal": True},
            HOST_NETWORK: {},
            OUTSIDE_NETWORK: {},
        },
        "volumes": {KAFKA_VOLUME: {}, **monitoring_volumes()},
    }


def _head(reference: str, options: ComposeOptions) -> str:
    image = f" --image {options.image}" if options.image is not None else ""
    ways = (
        ("docker compose up", "one worker and one scheduler"),
        (
            f"docker compose --profile {SPECIALIZED} up --scale worker=0",
            "workers of their own for each priority",
        ),
        (
            f"docker compose --profile {BY_TYPE} up --scale worker=0",
            "workers of their own for the job types of each queue",
        ),
        (f"docker compose up {THIN}", "everything in one process"),
        (f"docker compose up {SCHEDULER_ONLY}", "what is due is moved, and no job runs"),
        (
            "docker compose --profile monitoring up",
            "Prometheus, Grafana (port 3000) and Jaeger (16686) too",
        ),
    )
    width = max(len(command) for command, _ in ways)
    return (
        f"# Rendered by `headrace deploy render --target compose {reference}{image}`:\n"
        "# change the declaration and render again. What is yours alone, such as the handlers'\n"
        "# secrets, goes into docker-compose.override.yml.\n#\n"
        + "".join(f"#   {command:<{width}}   {meaning}\n" for command, meaning in ways)
        + "\n"
    )


@dataclass(frozen=True, slots=True)
class _Services:
    """Makes the services of one file."""

    pipeline: Pipeline
    reference: str
    options: ComposeOptions

    def all(self) -> dict[str, dict[str, Any]]:
        """Every service by name, in the order in which they start."""
        every = priorities_of(self.pipeline)
        return {
            "kafka": kafka_service(self.options.kafka_image),
            "topics": self._topics(),
            "worker": self._worker(every, {"HEADRACE_WORKER_MODE": WorkerMode.DEFAULT.value}),
            "scheduler": self._scheduler(),
            **{f"worker-{priority}": self._specialized(priority) for priority in every},
            **dict(self._by_type()),
            SCHEDULER_ONLY: {
                "profiles": [SCHEDULER_ONLY],
                **self._process(
                    "worker",
                    {"HEADRACE_WORKER_MODE": WorkerMode.SCHEDULER.value},
                    grace=SCHEDULER_GRACE,
                ),
            },
            "thin": {
                "profiles": [THIN],
                **self._worker(every, {"HEADRACE_WORKER_MODE": WorkerMode.THIN.value}),
            },
        }

    def _topics(self) -> dict[str, Any]:
        return {
            **self._image(),
            "command": ["topics", "apply", self.reference],
            "environment": _environment({}),
            "depends_on": {"kafka": {"condition": "service_healthy"}},
            "networks": [KAFKA_NETWORK],
            "restart": "no",
            **hardened(read_only=True),
        }

    def _specialized(self, priority: str) -> dict[str, Any]:
        size = self.options.sizing.of(priority)
        variables = {
            "HEADRACE_WORKER_MODE": WorkerMode.SPECIALIZED.value,
            "HEADRACE_WORKER_PRIORITIES": priority,
            "HEADRACE_WORKER_CONCURRENCY": str(size.concurrency),
        }
        return {
            "profiles": [SPECIALIZED],
            **self._worker((priority,), variables),
            "deploy": {"replicas": size.replicas},
        }

    def _by_type(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """A service for each queue that has job types: what they do decides how many run at a time."""
        for name, queue in self.pipeline.queues.items():
            types = [each for each in self.pipeline.job_types.values() if each.policy.queue == name]
            if not types:
                continue
            variables = {
                "HEADRACE_WORKER_MODE": WorkerMode.JOB_SPECIALIZED.value,
                "HEADRACE_WORKER_JOB_TYPES": ",".join(each.name for each in types),
                "HEADRACE_WORKER_CONCURRENCY": str(Work.of(queue, types).concurrency),
            }
            service = self._worker(queue.priorities, variables)
            yield f"queue-{name}", {"profiles": [BY_TYPE], **service}

    def _worker(self, priorities: Sequence[str], variables: dict[str, str]) -> dict[str, Any]:
        drain = self.options.sizing.drain_budget(self.pipeline, priorities)
        variables = {**variables, "HEADRACE_WORKER_DRAIN_BUDGET": format_duration(drain)}
        return {
            **self._process("worker", variables, grace=drain + STOP_RESERVE),
            # Handlers talk to the world; nothing else here does
            "networks": [KAFKA_NETWORK, METRICS_NETWORK, OUTSIDE_NETWORK],
        }

    def _scheduler(self) -> dict[str, Any]:
        return self._process("scheduler", {}, grace=SCHEDULER_GRACE)

    def _process(
        self, command: str, variables: dict[str, str], *, grace: timedelta
    ) -> dict[str, Any]:
        """A process that lives until it is stopped, and says on its port how it is."""
        return {
            **self._image(),
            "command": [command, self.reference],
            "environment": _environment(variables),
            "depends_on": {
                "kafka": {"condition": "service_healthy"},
                "topics": {"condition": "service_completed_successfully"},
            },
            "networks": [KAFKA_NETWORK, METRICS_NETWORK],
            "expose": [PROCESS_PORT],
            "healthcheck": healthcheck(
                ["CMD", "python", "-c", _ASK],
                interval=timedelta(seconds=15),
                start_period=timedelta(seconds=30),
            ),
            "restart": "unless-stopped",
            "stop_grace_period": format_duration(grace),
            **hardened(read_only=True),
        }

    def _image(self) -> dict[str, Any]:
        if self.options.image is not None:
            return {"image": self.options.image}
        return {
            "image": f"headrace-{self.pipeline.name}:local",
            "build": {"context": ".", "dockerfile": self.options.dockerfile},
        }


def _environment(variables: dict[str, str]) -> dict[str, str]:
    return {
        "HEADRACE_BOOTSTRAP_SERVERS": KAFKA_CLIENT_ADDRESS,
        "HEADRACE_HTTP_HOST": "0.0.0.0",  # noqa: S104 - of the container
        "HEADRACE_HTTP_PORT": PROCESS_PORT,
        "HEADRACE_LOG_FORMAT": "json",
        "HEADRACE_LOG_LEVEL": "${HEADRACE_LOG_LEVEL:-info}",
        # For `monitoring`: HEADRACE_TRACES=true docker compose …
        "HEADRACE_TRACES": "${HEADRACE_TRACES:-false}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": TRACES_ADDRESS,
        **variables,
    }
