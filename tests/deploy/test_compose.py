"""The Compose file: what the declaration decides in it, and what is so whatever it says."""

from datetime import timedelta
from typing import Any

import pytest
import yaml

from headrace.deploy.compose import ComposeOptions, render_compose
from headrace.deploy.sizing import Sizing, WorkerSize, default_timeout, priorities_of
from headrace.deploy.yaml_text import to_yaml
from headrace.pipeline import Pipeline, Queue
from headrace.pipeline.durations import parse_duration
from headrace.pipeline.settings import WorkerSettings

OURS = [
    "topics",
    "worker",
    "scheduler",
    "worker-critical",
    "worker-high",
    "worker-low",
    "worker-bulk",
    "queue-default",
    "queue-urgent",
    "queue-night",
    "scheduler-only",
    "thin",
]
WORKERS = [name for name in OURS if name not in ("topics", "scheduler", "scheduler-only")]


@pytest.fixture
def pipeline() -> Pipeline:
    made = Pipeline(
        "mill",
        queues=[
            Queue("default", priorities=("high", "low")),
            Queue("urgent", priorities=("critical",)),
            Queue("night", priorities=("bulk",)),
        ],
    )

    @made.job("grind", timeout=timedelta(seconds=90))
    def grind(grain: str) -> None: ...

    @made.job("alarm", queue="urgent", timeout=timedelta(milliseconds=1500))
    def alarm(text: str) -> None: ...

    @made.job("sweep", queue="night", timeout=timedelta(hours=3))
    def sweep() -> None: ...

    return made


@pytest.fixture
def document(pipeline: Pipeline) -> Any:
    return yaml.safe_load(render_compose(pipeline, "mill.jobs:mill"))


def seconds(text: str) -> float:
    return parse_duration(text).total_seconds()


def test_a_plain_up_runs_kafka_the_topics_one_worker_and_one_scheduler(document: Any) -> None:
    always = [name for name, service in document["services"].items() if "profiles" not in service]
    assert always == ["kafka", "topics", "worker", "scheduler"]


def test_each_priority_has_a_service_sized_by_the_table(document: Any) -> None:
    sizes = {
        name: (
            service["environment"]["HEADRACE_WORKER_PRIORITIES"],
            service["environment"]["HEADRACE_WORKER_CONCURRENCY"],
            service["deploy"]["replicas"],
        )
        for name, service in document["services"].items()
        if service.get("profiles") == ["specialized"]
    }
    assert sizes == {
        "worker-critical": ("critical", "50", 3),
        "worker-high": ("high", "50", 3),
        "worker-bulk": ("bulk", "30", 2),
        "worker-low": ("low", "10", 1),
    }


def test_the_normal_priority_is_thirty_at_a_time_twice() -> None:
    assert Sizing().of("normal") == WorkerSize(concurrency=30, replicas=2)


def test_every_command_names_the_pipeline(document: Any) -> None:
    services = document["services"]
    assert services["topics"]["command"] == ["topics", "apply", "mill.jobs:mill"]
    assert services["scheduler"]["command"] == ["scheduler", "mill.jobs:mill"]
    assert services["scheduler-only"]["environment"]["HEADRACE_WORKER_MODE"] == "scheduler"
    assert {tuple(services[name]["command"]) for name in WORKERS} == {("worker", "mill.jobs:mill")}


@pytest.mark.parametrize("name", WORKERS)
def test_a_workers_variables_are_settings_that_its_mode_accepts(
    document: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in document["services"][name]["environment"].items():
        if "WORKER" in variable:
            monkeypatch.setenv(variable, value)
    settings = WorkerSettings()
    kind = "job-specialized" if name.startswith("queue-") else "specialized"
    wanted = {"worker": "default", "thin": "thin"}.get(name, kind)
    assert settings.worker_mode == wanted


def test_a_worker_drains_as_long_as_its_longest_job_may_take(document: Any) -> None:
    budgets = {
        name: document["services"][name]["environment"]["HEADRACE_WORKER_DRAIN_BUDGET"]
        for name in WORKERS
    }
    assert budgets == {
        "worker": "10m",  # the three hours of `sweep`, bounded
        "thin": "10m",
        "worker-critical": "2s",
        "worker-high": "1m30s",
        "worker-low": "1m30s",
        "worker-bulk": "10m",
        "queue-default": "1m30s",
        "queue-urgent": "2s",
        "queue-night": "10m",
    }


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_is_killed_only_well_after_its_drain_budget(document: Any, name: str) -> None:
    service = document["services"][name]
    budget = seconds(service["environment"]["HEADRACE_WORKER_DRAIN_BUDGET"])
    assert seconds(service["stop_grace_period"]) == budget + 30


def test_a_job_type_without_a_timeout_counts_with_the_default_one() -> None:
    plain = Pipeline("plain")

    @plain.job("do")
    def do() -> None: ...

    assert Sizing().drain_budget(plain, ["high"]) == default_timeout() == timedelta(minutes=5)


def test_workers_wait_for_the_topics_and_the_topics_for_kafka(document: Any) -> None:
    services = document["services"]
    assert services["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    assert services["topics"]["restart"] == "no"
    for name in (*WORKERS, "scheduler", "scheduler-only"):
        waits = services[name]["depends_on"]
        assert waits["topics"] == {"condition": "service_completed_successfully"}, name
        assert waits["kafka"] == {"condition": "service_healthy"}, name


def test_only_kafka_and_what_people_look_at_is_published_and_only_on_loopback(
    document: Any,
) -> None:
    ports = {name: service.get("ports", []) for name, service in document["services"].items()}
    assert {name for name, some in ports.items() if some} == {
        "kafka",
        "prometheus",
        "grafana",
        "jaeger",
    }
    assert all(port.startswith("127.0.0.1:") for some in ports.values() for port in some)


def test_kafka_stands_on_a_network_without_a_way_out_and_handlers_alone_have_one(
    document: Any,
) -> None:
    services = document["services"]
    assert document["networks"]["kafka"] == {"internal": True}
    assert document["networks"]["metrics"] == {"internal": True}
    assert services["topics"]["networks"] == ["kafka"]
    assert services["scheduler"]["networks"] == ["kafka", "metrics"]
    assert all(services[name]["networks"] == ["kafka", "metrics", "outside"] for name in WORKERS)
    for name in ("prometheus", "grafana", "jaeger"):
        assert services[name]["networks"] == ["metrics", "host-access"]
    assert "outside" not in services["kafka"]["networks"]


@pytest.mark.parametrize("name", ["kafka", *OURS])
def test_no_service_keeps_rights_or_logs_without_end(document: Any, name: str) -> None:
    service = document["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert "privileged" not in service


@pytest.mark.parametrize("name", OURS)
def test_our_own_services_cannot_write_but_to_memory(document: Any, name: str) -> None:
    service = document["services"][name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert "volumes" not in service


@pytest.mark.parametrize("name", [*WORKERS, "scheduler"])
def test_processes_are_healthy_when_they_are_ready(document: Any, name: str) -> None:
    service = document["services"][name]
    port = service["environment"]["HEADRACE_HTTP_PORT"]
    assert f"http://127.0.0.1:{port}/health/ready" in service["healthcheck"]["test"][-1]


def test_kafka_keeps_its_data_on_a_volume_and_makes_no_topic_by_accident(document: Any) -> None:
    kafka = document["services"]["kafka"]
    [volume] = kafka["volumes"]
    source, _, place = volume.partition(":")
    assert source in document["volumes"]
    assert kafka["environment"]["KAFKA_LOG_DIRS"] == place
    assert kafka["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert "healthcheck" in kafka


def test_kafka_announces_the_address_that_the_workers_use(document: Any) -> None:
    services = document["services"]
    announced = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    address = services["worker"]["environment"]["HEADRACE_BOOTSTRAP_SERVERS"]
    assert f"PLAINTEXT://{address}" in announced


def test_nothing_from_the_environment_gets_into_the_file(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = render_compose(pipeline, "mill.jobs:mill")
    monkeypatch.setenv("HEADRACE_SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("HEADRACE_SCHEMA_REGISTRY_URL", "https://me:hunter2@registry")
    monkeypatch.setenv("HEADRACE_JOB_TIMEOUT", "77s")
    monkeypatch.setenv("HEADRACE_BOOTSTRAP_SERVERS", "elsewhere:9092")
    assert render_compose(pipeline, "mill.jobs:mill") == before


def test_a_ready_image_is_not_built(pipeline: Pipeline) -> None:
    options = ComposeOptions(image="registry.example/mill:1.2")
    text = render_compose(pipeline, "mill.jobs:mill", options)
    services = yaml.safe_load(text)["services"]
    assert {services[name]["image"] for name in OURS} == {"registry.example/mill:1.2"}
    assert not any("build" in service for service in services.values())
    assert "--image registry.example/mill:1.2" in text.splitlines()[0]


def test_all_our_services_run_one_image(document: Any) -> None:
    services = document["services"]
    assert {services[name]["image"] for name in OURS} == {"headrace-mill:local"}
    assert {services[name]["build"]["dockerfile"] for name in OURS} == {"deploy/images/Dockerfile"}


def test_priorities_come_by_weight_each_once(pipeline: Pipeline) -> None:
    assert priorities_of(pipeline) == ("critical", "high", "bulk", "low")


def test_yaml_keeps_the_order_writes_shared_parts_out_and_quotes_what_yaml_would_misread() -> None:
    shared = {"on": "no", "size": "12", "list": ["a: b"]}
    text = to_yaml({"z": shared, "a": shared})
    assert text.startswith("z:\n")
    assert "&" not in text
    assert yaml.safe_load(text) == {"z": shared, "a": shared}


def test_each_queue_has_a_service_for_its_job_types(document: Any, pipeline: Pipeline) -> None:
    for name in ("default", "urgent", "night"):
        service = document["services"][f"queue-{name}"]
        types = service["environment"]["HEADRACE_WORKER_JOB_TYPES"].split(",")
        assert {pipeline.job_type(each).policy.queue for each in types} == {name}
        assert service["profiles"] == ["by-type"]


def test_what_a_queues_jobs_do_decides_how_many_run_at_a_time() -> None:
    made = Pipeline("kinds", queues=[Queue("cpu", pool="process"), Queue("io"), Queue("db")])

    @made.job("compute", queue="cpu")
    def compute() -> None: ...

    @made.job("fetch", queue="io")
    async def fetch() -> None: ...

    @made.job("query", queue="db")
    def query() -> None: ...

    document = yaml.safe_load(render_compose(made, "kinds:made"))
    found = {
        name: document["services"][f"queue-{name}"]["environment"]["HEADRACE_WORKER_CONCURRENCY"]
        for name in made.queues
    }
    assert found == {"cpu": "4", "io": "100", "db": "10"}

    @made.job("store", queue="io")
    def store() -> None: ...

    document = yaml.safe_load(render_compose(made, "kinds:made"))
    mixed = document["services"]["queue-io"]["environment"]["HEADRACE_WORKER_CONCURRENCY"]
    assert mixed == "30"


def test_prometheus_asks_every_service_that_has_a_port(document: Any) -> None:
    config = yaml.safe_load(document["configs"]["prometheus"]["content"])
    [job] = config["scrape_configs"]
    [asked] = job["dns_sd_configs"]
    assert set(asked["names"]) == {*WORKERS, "scheduler", "scheduler-only"}
    port = document["services"]["worker"]["environment"]["HEADRACE_HTTP_PORT"]
    assert str(asked["port"]) == port
