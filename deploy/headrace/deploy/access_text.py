"""The rights of `access.py` as Kafka's own tool takes them, and as JSON."""

import shlex
from collections.abc import Iterable, Iterator
from typing import Any, Final

from headrace.deploy.access import Operation, Resource, Role, Rule, rules_of, user_of
from headrace.pipeline.pipeline import Pipeline

_FLAGS: Final = {
    Resource.TOPIC: "--topic",
    Resource.GROUP: "--group",
    Resource.TRANSACTIONAL_ID: "--transactional-id",
}
_PATTERNS: Final = {"literal": "literal", "prefix": "prefixed"}


def principal_of(pipeline: Pipeline, role: Role, form: str = "User:{}") -> str:
    """Give the principal of a role.

    Args:
        pipeline: The declaration.
        role: The role.
        form: How the cluster names principals: `User:CN={}` with certificates.
    """
    return form.replace("{}", user_of(pipeline, role))


def acl_commands(
    pipeline: Pipeline, roles: Iterable[Role], server: str, form: str = "User:{}"
) -> Iterator[str]:
    """Give a line of `kafka-acls.sh` for each rule.

    Args:
        pipeline: The declaration.
        roles: Whose rules.
        server: Kafka's address, for the command.
        form: As for `principal_of`.
    """
    for role in roles:
        principal = principal_of(pipeline, role, form)
        for rule in rules_of(pipeline, role):
            words = ["kafka-acls.sh", "--bootstrap-server", server, "--add"]
            words += ["--allow-principal", principal, *_told(rule)]
            yield shlex.join(words)


def acl_entries(
    pipeline: Pipeline, roles: Iterable[Role], form: str = "User:{}"
) -> list[dict[str, Any]]:
    """Give each rule as plain values, for programs."""
    return [
        {
            "role": role.value,
            "principal": principal_of(pipeline, role, form),
            "resource": rule.resource.value,
            "name": rule.name,
            "pattern": _PATTERNS[rule.pattern],
            "operations": [operation.value for operation in rule.operations],
            "host": "*",
        }
        for role in roles
        for rule in rules_of(pipeline, role)
    ]


def _told(rule: Rule) -> Iterator[str]:
    for operation in rule.operations:
        yield from ("--operation", _word(operation))
    yield from (_FLAGS[rule.resource], rule.name)
    if rule.prefixed:
        yield from ("--resource-pattern-type", "prefixed")


def _word(operation: Operation) -> str:
    return operation.value
