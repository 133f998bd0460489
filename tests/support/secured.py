"""A broker with TLS, users and access rights, and whoever connects to it."""

import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from headrace.deploy.access import Operation, Resource, Role, Rule, rules_of, user_of
from headrace.pipeline import Pipeline, broker
from headrace.pipeline.broker import BrokerSecurity, Proof
from headrace.pipeline.settings import KafkaSettings, load

PASSWORD = "not-a-secret"
RESOURCES = {
    Resource.TOPIC: ResourceType.TOPIC,
    Resource.GROUP: ResourceType.GROUP,
    Resource.TRANSACTIONAL_ID: ResourceType.TRANSACTIONAL_ID,
}
OPERATIONS = {
    Operation.READ: AclOperation.READ,
    Operation.WRITE: AclOperation.WRITE,
    Operation.CREATE: AclOperation.CREATE,
    Operation.ALTER: AclOperation.ALTER,
    Operation.DESCRIBE: AclOperation.DESCRIBE,
    Operation.ALTER_CONFIGS: AclOperation.ALTER_CONFIGS,
    Operation.DESCRIBE_CONFIGS: AclOperation.DESCRIBE_CONFIGS,
}


@dataclass(frozen=True)
class Certificates:
    """A certificate authority of a test's own, in a folder."""

    folder: Path

    def __post_init__(self) -> None:
        self._openssl(
            "req", "-x509", *_NEW_KEY, "-days", "2", "-subj", "/CN=test authority",
            "-keyout", "ca.key", "-out", "ca.crt",
        )  # fmt: skip

    @property
    def authority(self) -> Path:
        return self.folder / "ca.crt"

    def made(self, name: str) -> Path:
        """A file with the key and the certificate of a name, good for 127.0.0.1."""
        request = ("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self._openssl("req", "-new", *_NEW_KEY, *request)
        (self.folder / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
        self._openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", "ext", "-out", f"{name}.crt",
        )  # fmt: skip
        both = self.folder / f"{name}.pem"
        parts = [(self.folder / f"{name}.{end}").read_text() for end in ("key", "crt")]
        both.write_text("".join(parts))
        return both

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class SecuredBroker:
    """A broker that refuses whatever no rule allows."""

    bootstrap: str
    certificates: Certificates
    security: BrokerSecurity

    def settings(self, user: str) -> KafkaSettings:
        """What a process of this user has as settings."""
        how: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap,
            "ssl_ca_location": self.certificates.authority,
        }
        if self.security.proof is Proof.CERTIFICATE:
            pair = self.certificates.made(user)
            how |= {"ssl_certificate_location": pair, "ssl_key_location": pair}
            return load(KafkaSettings, security_protocol="ssl", **how)
        return load(
            KafkaSettings,
            security_protocol="sasl_ssl",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username=user,
            sasl_password=PASSWORD,
            **how,
        )

    @property
    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, **self.security.client()})

    def welcome(self, pipeline: Pipeline, roles: Iterable[Role] = Role) -> None:
        """Make each role's user, with exactly the rendered rights."""
        admin = self.admin
        users = {role: user_of(pipeline, role) for role in roles}
        if self.security.proof is Proof.SCRAM:
            self.add_users(admin, users.values())
        rules = [
            binding
            for role, user in users.items()
            for rule in rules_of(pipeline, role)
            for binding in _bindings(user, rule)
        ]
        for done in admin.create_acls(rules).values():
            done.result(20)

    def add_users(self, admin: AdminClient, users: Iterable[str]) -> None:
        how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        made: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(user, how, PASSWORD.encode()) for user in users
        ]
        for done in admin.alter_user_scram_credentials(made).values():
            done.result(20)


def _bindings(user: str, rule: Rule) -> Iterator[AclBinding]:
    pattern = ResourcePatternType.PREFIXED if rule.prefixed else ResourcePatternType.LITERAL
    for operation in rule.operations:
        yield AclBinding(
            RESOURCES[rule.resource],
            rule.name,
            pattern,
            f"User:{user}",
            "*",
            OPERATIONS[operation],
            AclPermissionType.ALLOW,
        )


@contextmanager
def secured_broker(folder: Path, proof: Proof = Proof.SCRAM) -> Iterator[SecuredBroker]:
    """A broker of one's own, stopped at the end."""
    certificates = Certificates(folder)
    keystore, authority = certificates.made("admin"), certificates.authority
    security = BrokerSecurity(keystore, authority, PASSWORD, proof)
    options = broker.BrokerOptions(directory=folder / "broker", security=security)
    with broker.running(options, owned=True) as address:
        yield SecuredBroker(address.bootstrap, certificates, security)


def as_environment(settings: KafkaSettings) -> dict[str, str]:
    """The variables by which a process gets these settings."""
    given = {
        name: getattr(settings, name)
        for name in settings.model_fields_set
        if name != "sasl_password" and getattr(settings, name) is not None
    }
    variables = {f"HEADRACE_{name.upper()}": str(value) for name, value in given.items()}
    if settings.sasl_password is not None:
        variables["HEADRACE_SASL_PASSWORD"] = settings.sasl_password.get_secret_value()
    return variables
