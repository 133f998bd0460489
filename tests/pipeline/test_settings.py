import logging
import os
import traceback
from datetime import timedelta
from pathlib import Path

import pytest

from headrace.pipeline import settings
from headrace.pipeline.errors import SettingsError
from headrace.pipeline.settings import (
    ALL_SETTINGS,
    HttpSettings,
    KafkaSettings,
    LogFormat,
    LogSettings,
    ProducerSettings,
    SchedulerSettings,
    Settings,
    TopicSettings,
    WorkerMode,
    WorkerSettings,
    load,
)

SECRET = "correct-horse-battery"
EVERY_VARIABLE_OF_OPERATING = [
    "WORKER_MODE",
    "WORKER_PRIORITIES",
    "WORKER_JOB_TYPES",
    "WORKER_CONCURRENCY",
    "ENABLE_SCHEDULER",
    "SCHEDULER_INTERVAL",
    "JOB_TIMEOUT",
    "MAX_RETRIES",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "LOG_CONSOLE_ENABLED",
    "LOG_FILE_ENABLED",
    "LOG_FILE_PATH",
    "LOG_FILE_MAX_SIZE_MB",
    "LOG_FILE_MAX_BACKUPS",
]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)


def refusal(kind: type[Settings], monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(f"HEADRACE_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load(kind)
    return str(caught.value)


@pytest.mark.parametrize("kind", ALL_SETTINGS)
def test_the_defaults_of_every_class_are_valid(kind: type[Settings]) -> None:
    load(kind)


def test_every_variable_of_operating_exists() -> None:
    fields = {field.upper() for kind in ALL_SETTINGS for field in kind.model_fields}
    assert set(EVERY_VARIABLE_OF_OPERATING) <= fields


def test_no_variable_belongs_to_two_classes() -> None:
    fields = [field for kind in ALL_SETTINGS for field in kind.model_fields]
    assert len(set(fields)) == len(fields)


@pytest.mark.parametrize("kind", ALL_SETTINGS)
def test_every_field_says_what_it_means(kind: type[Settings]) -> None:
    assert [name for name, field in kind.model_fields.items() if not field.description] == []


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_WORKER_MODE", "specialized")
    monkeypatch.setenv("HEADRACE_WORKER_PRIORITIES", "high, normal,")
    monkeypatch.setenv("HEADRACE_JOB_TIMEOUT", "1m30s")
    monkeypatch.setenv("HEADRACE_LOG_FORMAT", "JSON")
    worker = load(WorkerSettings)
    assert worker.worker_mode is WorkerMode.SPECIALIZED
    assert worker.worker_priorities == ("high", "normal")
    assert worker.job_timeout == timedelta(seconds=90)
    assert load(LogSettings).log_format is LogFormat.JSON


def test_an_override_wins_and_none_leaves_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_HTTP_PORT", "9100")
    assert load(HttpSettings, http_port=9200).http_port == 9200
    assert load(HttpSettings, http_port=None).http_port == 9100


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_HTTP_PORT", "")
    monkeypatch.setenv("HEADRACE_SASL_MECHANISM", "")
    assert load(HttpSettings).http_port == 0
    assert load(KafkaSettings).sasl_mechanism is None


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(HttpSettings).http_port = 1


@pytest.mark.parametrize(
    ("kind", "name", "value", "remedy"),
    [
        (WorkerSettings, "WORKER_CONCURRENCY", "0", "greater than or equal to 1"),
        (WorkerSettings, "WORKER_CONCURRENCY", "many", "valid integer"),
        (WorkerSettings, "WORKER_MODE", "fat", "'thin', 'default', 'specialized'"),
        (WorkerSettings, "JOB_TIMEOUT", "5", "such as 100ms, 5m or 1h30m"),
        (WorkerSettings, "JOB_TIMEOUT", "0s", "longer than zero"),
        (WorkerSettings, "ENABLE_SCHEDULER", "perhaps", "valid boolean"),
        (SchedulerSettings, "SCHEDULER_INTERVAL", "0ms", "longer than zero"),
        (HttpSettings, "HTTP_PORT", "65536", "less than or equal to 65535"),
        (LogSettings, "LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        (LogSettings, "LOG_FILE_MAX_SIZE_MB", "0", "greater than or equal to 1"),
        (ProducerSettings, "PRODUCER_LINGER", "-1ms", "is not a duration"),
    ],
)
def test_a_wrong_value_is_refused_with_variable_value_and_remedy(
    kind: type[Settings], name: str, value: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = refusal(kind, monkeypatch, **{name: value})
    assert message.startswith(f"HEADRACE_{name}={value}: ")
    assert remedy in message
    assert message.endswith("see docs/reference/settings.md")


def test_all_wrong_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    message = refusal(HttpSettings, monkeypatch, HTTP_PORT="x", HTTP_ENABLED="perhaps")
    assert [line.split("=")[0] for line in message.splitlines()] == [
        "HEADRACE_HTTP_ENABLED",
        "HEADRACE_HTTP_PORT",
    ]


def test_an_override_without_such_a_setting_is_refused() -> None:
    with pytest.raises(SettingsError, match="HttpSettings has no setting 'http_prot'"):
        load(HttpSettings, http_prot=1)


SASL = {"SECURITY_PROTOCOL": "sasl_ssl", "SASL_MECHANISM": "PLAIN", "SASL_USERNAME": "u"}


@pytest.mark.parametrize(
    ("kind", "variables", "named"),
    [
        (KafkaSettings, {"SECURITY_PROTOCOL": "sasl_ssl"}, ["sasl_ssl", "SASL_MECHANISM"]),
        (KafkaSettings, {"SASL_MECHANISM": "PLAIN"}, ["PLAIN", "SECURITY_PROTOCOL=sasl_ssl"]),
        (KafkaSettings, SASL, ["SASL_MECHANISM=PLAIN", "SASL_PASSWORD_FILE"]),
        (
            KafkaSettings,
            {**SASL, "SASL_PASSWORD": SECRET, "SASL_PASSWORD_FILE": "/run/p"},
            ["SASL_PASSWORD_FILE=/run/p", "unset one"],
        ),
        (
            KafkaSettings,
            {"SECURITY_PROTOCOL": "ssl", "SSL_KEY_LOCATION": "/k"},
            ["SSL_KEY_LOCATION=/k", "HEADRACE_SSL_CERTIFICATE_LOCATION"],
        ),
        (KafkaSettings, {"SSL_CA_LOCATION": "/ca"}, ["SSL_CA_LOCATION=/ca", "SECURITY_PROTOCOL"]),
        (TopicSettings, {"TOPIC_REPLICATION": "0"}, ["TOPIC_REPLICATION=0", "-1"]),
        (
            TopicSettings,
            {"TOPIC_REPLICATION": "1", "TOPIC_MIN_INSYNC": "2"},
            ["MIN_INSYNC=2", "TOPIC_REPLICATION=1", "lower it"],
        ),
        (
            ProducerSettings,
            {"PRODUCER_LINGER": "3m"},
            ["PRODUCER_LINGER=3m", "PRODUCER_DELIVERY_TIMEOUT=2m"],
        ),
        (WorkerSettings, {"WORKER_MODE": "specialized"}, ["specialized", "WORKER_PRIORITIES"]),
        (WorkerSettings, {"WORKER_MODE": "job-specialized"}, ["WORKER_JOB_TYPES"]),
        (
            WorkerSettings,
            {"WORKER_PRIORITIES": "high"},
            ["WORKER_PRIORITIES=high", "WORKER_MODE=specialized", "it is default"],
        ),
        (
            WorkerSettings,
            {"WORKER_MODE": "scheduler", "ENABLE_SCHEDULER": "false"},
            ["WORKER_MODE=scheduler", "ENABLE_SCHEDULER=false", "unset one"],
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused_by_name(
    kind: type[Settings],
    variables: dict[str, str],
    named: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    message = refusal(kind, monkeypatch, **variables)
    assert [part for part in named if part not in message] == []
    assert SECRET not in message


def test_a_password_never_shows(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HEADRACE_SASL_PASSWORD", SECRET)
    monkeypatch.setenv("HEADRACE_SCHEMA_REGISTRY_URL", f"http://u:{SECRET}@registry")
    found = load(KafkaSettings)
    logging.getLogger("test").warning("%s %r %s", found, found, found.model_dump())
    monkeypatch.setenv("HEADRACE_SECURITY_PROTOCOL", "sasl_plaintext")
    with pytest.raises(SettingsError) as caught:
        load(KafkaSettings)
    assert SECRET not in caplog.text
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_a_secret_of_the_wrong_type_is_hidden_in_the_refusal() -> None:
    with pytest.raises(SettingsError) as caught:
        load(KafkaSettings, sasl_password=[SECRET])
    assert str(caught.value).startswith("HEADRACE_SASL_PASSWORD=(hidden): ")
    assert SECRET not in str(caught.value)


def test_a_password_file_is_a_path() -> None:
    found = load(
        KafkaSettings,
        security_protocol="sasl_ssl",
        sasl_mechanism="PLAIN",
        sasl_username="u",
        sasl_password_file="/run/secrets/kafka",
    )
    assert found.sasl_password_file == Path("/run/secrets/kafka")


@pytest.mark.parametrize(
    ("given", "slots", "schedules"),
    [
        ({}, 10, False),
        ({"worker_concurrency": 32}, 32, False),
        ({"enable_scheduler": True}, 10, True),
        ({"worker_mode": "thin"}, 2, True),
        ({"worker_mode": "thin", "worker_concurrency": 4}, 4, True),
        ({"worker_mode": "thin", "enable_scheduler": False}, 2, False),
        ({"worker_mode": "scheduler"}, 0, True),
    ],
)
def test_the_mode_decides_slots_and_scheduler_where_nothing_is_set(
    given: dict[str, object], slots: int, schedules: bool
) -> None:
    worker = load(WorkerSettings, **given)
    assert (worker.slots, worker.schedules) == (slots, schedules)


def test_thin_mode_from_the_environment_takes_its_own_concurrency(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEADRACE_WORKER_MODE", "thin")
    assert load(WorkerSettings).slots == 2
    monkeypatch.setenv("HEADRACE_WORKER_CONCURRENCY", "10")
    assert load(WorkerSettings).slots == 10


def test_a_misspelt_variable_is_named_with_the_one_that_was_meant() -> None:
    environment = {
        "HEADRACE_WORKER_CONCURENCY": "5",
        "HEADRACE_HTTP_PORT": "1",
        "HEADRACE_PIPELINE": "shop.jobs:shop",
        "HEADRACE_SCALER_SERVICE_HOST": "10.0.0.1",
        "HEADRACE_SCALER_PORT_9000_TCP_ADDR": "10.0.0.1",
        "PATH": "/bin",
    }
    (told,) = settings.unknown_variables(environment)
    assert told == (
        "HEADRACE_WORKER_CONCURENCY is no setting, did you mean HEADRACE_WORKER_CONCURRENCY? "
        "(see docs/reference/settings.md)"
    )
