"""Users and access rights on a Kafka of one's own: each role gets exactly what `access.py` says."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
)
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from headrace.deploy.access import Operation, Resource, Role, Rule, rules_of, user_of
from headrace.pipeline.pipeline import Pipeline

RESOURCES: Final = {
    Resource.TOPIC: ResourceType.TOPIC,
    Resource.GROUP: ResourceType.GROUP,
    Resource.TRANSACTIONAL_ID: ResourceType.TRANSACTIONAL_ID,
}
OPERATIONS: Final = {
    Operation.READ: AclOperation.READ,
    Operation.WRITE: AclOperation.WRITE,
    Operation.CREATE: AclOperation.CREATE,
    Operation.ALTER: AclOperation.ALTER,
    Operation.DESCRIBE: AclOperation.DESCRIBE,
    Operation.ALTER_CONFIGS: AclOperation.ALTER_CONFIGS,
    Operation.DESCRIBE_CONFIGS: AclOperation.DESCRIBE_CONFIGS,
}
_SECONDS: Final = 20
_ITERATIONS: Final = 8192


def set_passwords(admin: AdminClient, passwords: Mapping[str, str]) -> None:
    """Make users of SCRAM-SHA-512, or give those that there are these passwords.

    Raises:
        KafkaException: Kafka refused, or did not answer.
    """
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _ITERATIONS)
    made: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(user, how, word.encode()) for user, word in passwords.items()
    ]
    for done in admin.alter_user_scram_credentials(made).values():
        done.result(_SECONDS)


def grant(admin: AdminClient, pipeline: Pipeline, role: Role) -> None:
    """Give a role's user its rights; those that it has beyond them are taken away.

    Raises:
        KafkaException: Kafka refused, or did not answer.
    """
    principal = f"User:{user_of(pipeline, role)}"
    wanted = {each for rule in rules_of(pipeline, role) for each in _bindings(principal, rule)}
    found = set(admin.describe_acls(_all_of(principal)).result(_SECONDS))
    if missing := list(wanted - found):
        for done in admin.create_acls(missing).values():
            done.result(_SECONDS)
    if beyond := [_exactly(binding) for binding in found - wanted]:
        for taken in admin.delete_acls(beyond).values():
            taken.result(_SECONDS)


def _bindings(principal: str, rule: Rule) -> Iterator[AclBinding]:
    pattern = ResourcePatternType.PREFIXED if rule.prefixed else ResourcePatternType.LITERAL
    kind, allow = RESOURCES[rule.resource], AclPermissionType.ALLOW
    for operation in rule.operations:
        yield AclBinding(kind, rule.name, pattern, principal, "*", OPERATIONS[operation], allow)


def _all_of(principal: str) -> AclBindingFilter:
    anything: Any = None
    return AclBindingFilter(
        ResourceType.ANY,
        anything,
        ResourcePatternType.ANY,
        principal,
        anything,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )


def _exactly(found: Any) -> AclBindingFilter:
    """The filter that takes this binding and no other."""
    return AclBindingFilter(
        found.restype,
        found.name,
        found.resource_pattern_type,
        found.principal,
        found.host,
        found.operation,
        found.permission_type,
    )
