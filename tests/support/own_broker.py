"""A broker that one module has for itself, to kill, to starve and to forbid things."""

import os
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
)
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from headrace.pipeline import broker
from headrace.pipeline.broker import BrokerState, configuration
from tests.support.stage import RunningProcess, wait_until

_AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
"""Everybody may do everything, until a rule about a topic says otherwise."""


@dataclass
class OwnBroker:
    """An embedded broker that nobody else uses."""

    directory: Path
    bootstrap: str
    pid: int

    def kill(self) -> None:
        """As a power cut would."""
        os.kill(self.pid, signal.SIGKILL)
        self.await_death()

    def await_death(self) -> None:
        """Wait until its process is gone."""

        def state() -> BrokerState:
            return broker.status(self.directory).state

        wait_until("the broker is dead", lambda: state() is BrokerState.CRASHED)

    def start(self) -> None:
        """Start it again, on the same port and data."""
        address = broker.start(broker.BrokerOptions(directory=self.directory))
        assert address.bootstrap == self.bootstrap
        self.pid = address.pid

    # -- what it may be told to refuse -------------------------------------------------------------

    def forbid_writing(self, topic: str) -> None:
        """Nobody may write to a topic; reading stays allowed."""
        wanted = [(AclOperation.WRITE, AclPermissionType.DENY)]
        wanted += [
            (operation, AclPermissionType.ALLOW)
            for operation in (AclOperation.READ, AclOperation.DESCRIBE, AclOperation.ALTER_CONFIGS)
        ]
        rules = [
            AclBinding(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:*", "*", *each)
            for each in wanted
        ]
        admin = self._admin()
        for done in admin.create_acls(rules).values():
            done.result(10)

    def allow_only(self, name: str, operation: AclOperation, kind: ResourceType) -> None:
        """Let everybody do this alone with all topics, or groups, whose names begin so."""
        self._rule(name, operation, kind, AclPermissionType.ALLOW)

    def forbid(self, name: str, operation: AclOperation, kind: ResourceType) -> None:
        """Forbid everybody something with all topics, or groups, whose names begin so."""
        self._rule(name, operation, kind, AclPermissionType.DENY)

    def _rule(
        self, name: str, operation: AclOperation, kind: ResourceType, what: AclPermissionType
    ) -> None:
        prefixed = ResourcePatternType.PREFIXED
        rule = AclBinding(kind, name, prefixed, "User:*", "*", operation, what)
        admin = self._admin()
        for done in admin.create_acls([rule]).values():
            done.result(10)

    def allow_everything(self, topic: str) -> None:
        """Drop the rules about a topic."""
        self._drop(topic, ResourceType.TOPIC, ResourcePatternType.LITERAL)

    def allow_again(self, name: str, kind: ResourceType) -> None:
        """Drop what `allow_only` and `forbid` said of topics, or groups, whose names begin so."""
        self._drop(name, kind, ResourcePatternType.PREFIXED)

    def _drop(self, name: str, kind: ResourceType, pattern: ResourcePatternType) -> None:
        anybody: Any = None
        rules = AclBindingFilter(
            kind,
            name,
            pattern,
            anybody,
            anybody,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        admin = self._admin()
        for done in admin.delete_acls([rules]).values():
            done.result(10)

    def limit_records(self, topic: str, limit: int | None) -> None:
        """Set a topic's `max.message.bytes`; None takes the broker's default."""
        operation = AlterConfigOpType.SET if limit else AlterConfigOpType.DELETE
        entry = ConfigEntry("max.message.bytes", str(limit or 0), incremental_operation=operation)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        admin = self._admin()
        for done in admin.incremental_alter_configs([resource]).values():
            done.result(10)

    def delete(self, topic: str) -> None:
        """Delete a topic, and wait until it is gone."""
        admin = self._admin()
        admin.delete_topics([topic])[topic].result(10)
        wait_until("it is gone", lambda: topic not in admin.list_topics(timeout=10).topics)

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap})


@contextmanager
def own_broker(directory: Path) -> Iterator[OwnBroker]:
    """A broker that knows access rules, stopped at the end whatever was done to it."""
    usual = configuration.behaviour()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(configuration, "behaviour", lambda: usual | _AUTHORIZER)
        options = broker.BrokerOptions(directory=directory)
        with broker.running(options, owned=True) as address:
            yield OwnBroker(address.directory, address.bootstrap, address.pid)


def ask(process: RunningProcess, path: str) -> tuple[int, str]:
    """Ask a process's own port: `/health/ready`, `/metrics`."""
    process.says("health and metrics at")
    found = re.search(r"health and metrics at (http://\S+)", process.text())
    assert found is not None
    try:
        with urllib.request.urlopen(found[1] + path, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def metric(process: RunningProcess, name: str, **labels: str) -> float:
    """The sum of a metric's series that have these labels."""
    total = 0.0
    for line in ask(process, "/metrics")[1].splitlines():
        given = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
        if given and all(f'{key}="{value}"' in (given[1] or "") for key, value in labels.items()):
            total += float(given[2])
    return total
