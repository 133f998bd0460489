"""A broker with TLS, users and access rights, and whoever connects to it."""

import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient

from headrace.deploy.access import Role, user_of
from headrace.deploy.granting import grant, set_passwords
from headrace.pipeline import Pipeline, broker
from headrace.pipeline.broker import BrokerSecurity, Proof
from headrace.pipeline.settings import KafkaSettings, load

PASSWORD = "not-a-secret"


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
        admin, roles = self.admin, list(roles)
        if self.security.proof is Proof.SCRAM:
            set_passwords(admin, {user_of(pipeline, role): PASSWORD for role in roles})
        for role in roles:
            grant(admin, pipeline, role)


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
