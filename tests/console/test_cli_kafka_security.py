"""`headrace kafka start --security`: a broker of one's own that asks who comes.

What can go wrong: a password is printed, or lies where others read it; the second start makes other
ones, and everybody who has the first is locked out; somebody starts it without --security, and it
stands open.
"""

import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from headrace.deploy.access import Role
from headrace.pipeline.kafka import make_admin
from headrace.pipeline.settings import KafkaSettings
from tests.console.conftest import SHOP, CommandLine

pytestmark = pytest.mark.kafka


def variables(text: str) -> dict[str, str]:
    """The settings among a command's output, or in a file of settings."""
    found = [word for word in shlex.split(text) if word.startswith("HEADRACE_")]
    return dict(word.split("=", 1) for word in found)


class Secured:
    """A directory with a broker, and the command line."""

    def __init__(self, headrace: CommandLine, directory: Path) -> None:
        self.headrace, self.directory = headrace, directory
        self.folder = directory / "kafka/security"

    def start(self, *words: str) -> str:
        return self.headrace.ok("kafka", "start", *words, *self.where)

    def stop(self) -> None:
        self.headrace.ok("kafka", "stop", *self.where)

    @property
    def where(self) -> tuple[str, ...]:
        return ("--directory", str(self.directory))

    def user(self, name: str) -> dict[str, str]:
        return variables((self.folder / f"{name}.env").read_text())

    def secrets(self) -> dict[str, str]:
        return {file.name: file.read_text() for file in self.folder.glob("*.password")}


@pytest.fixture
def secured(headrace: CommandLine, tmp_path: Path) -> Iterator[Secured]:
    broker = Secured(headrace, tmp_path / "a broker")
    yield broker
    broker.stop()


@pytest.mark.timeout(300)  # three starts of a broker
def test_a_broker_asks_who_comes_with_the_same_users_at_every_start(
    secured: Secured, unique_name: str
) -> None:
    headrace = secured.headrace
    said = secured.start(SHOP, "--security", "scram")
    assert variables(said) == secured.user(f"{unique_name}-operator")
    passwords = secured.secrets()
    assert len(set(passwords.values())) == len(passwords) == len(Role) + 1
    assert not any(word in said for word in passwords.values())
    assert stat.S_IMODE(secured.folder.stat().st_mode) == 0o700
    private = [*secured.folder.glob("*.password"), *secured.folder.glob("*.key")]
    private += [secured.folder / "admin.pem", secured.directory / "kafka/server.properties"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in private} == {0o600}

    topics, producer = (secured.user(f"{unique_name}-{role}") for role in ("topics", "producer"))
    refused = headrace("topics", "apply", SHOP, env=producer)
    assert refused.returncode == 1
    assert "uthoriz" in refused.stderr
    headrace.ok("topics", "apply", SHOP, env=topics)

    other = headrace("kafka", "start", SHOP, "--security", "mutual-tls", *secured.where)
    assert "already runs, with security scram" in other.stderr
    secured.stop()
    opened = headrace("up", SHOP, *secured.where)
    assert opened.returncode == 1
    assert "asks its clients who they are" in opened.stderr

    assert "asks for" in secured.start()
    assert secured.secrets() == passwords
    headrace.ok("topics", "plan", SHOP, env=topics)
    stranger = KafkaSettings(bootstrap_servers=topics["HEADRACE_BOOTSTRAP_SERVERS"])
    with pytest.raises(KafkaException):
        make_admin(stranger).list_topics(timeout=1)

    secured.stop()
    secured.start(SHOP, "--security", "mutual-tls")
    by_certificate = secured.user(f"{unique_name}-topics")
    assert "HEADRACE_SASL_USERNAME" not in by_certificate
    headrace.ok("topics", "plan", SHOP, env=by_certificate)


def test_users_need_a_pipeline_that_says_what_they_may_do(
    headrace: CommandLine, tmp_path: Path
) -> None:
    done = headrace("kafka", "start", "--security", "scram", "--directory", str(tmp_path / "b"))
    assert done.returncode == 2
    assert "HEADRACE_PIPELINE" in done.stderr
    assert not (tmp_path / "b" / "kafka").exists()
