"""What `headrace kafka start --security` makes: certificates, users, their rights and their settings.

Everything lies in one folder beside the broker's data, readable for its owner alone. Passwords are
written to files there, and nowhere else.
"""

import secrets
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from headrace.deploy.access import Role, user_of
from headrace.deploy.profile_kafka import Security
from headrace.pipeline.broker.authority import Authority
from headrace.pipeline.broker.layout import Layout, layout_of
from headrace.pipeline.broker.security import BrokerSecurity, Proof

if TYPE_CHECKING:
    from headrace.pipeline.pipeline import Pipeline

_ADMINISTRATOR: Final = "admin"
_PRIVATE: Final = 0o600
_PROOFS: Final = {Security.SCRAM: Proof.SCRAM, Security.MUTUAL_TLS: Proof.CERTIFICATE}


def remembered(directory: Path) -> Security:
    """Say how clients of a directory's broker prove who they are, as it was last started."""
    asks = layout_of(directory).asks
    return Security(asks.read_text().strip()) if asks.exists() else Security.PLAINTEXT


@dataclass(frozen=True, slots=True)
class Guard:
    """What makes the broker of a directory ask who comes.

    Attributes:
        layout: Where it is.
        security: How clients prove who they are.
    """

    layout: Layout
    security: Security

    @property
    def authority(self) -> Authority:
        """Signs everybody's certificate."""
        return Authority(self.layout.security)

    def options(self) -> BrokerSecurity | None:
        """Give what the broker is started with; makes certificates and a password that are missing.

        Raises:
            CertificateError: openssl is missing, or could not.
            DirectoryError: The folder cannot be written.
        """
        if self.security is Security.PLAINTEXT:
            self.layout.asks.unlink(missing_ok=True)
            return None
        self.authority.establish()
        _write(self.layout.asks, f"{self.security}\n")
        return BrokerSecurity(
            self.authority.keystore(_ADMINISTRATOR),
            self.authority.certificate,
            self._password(_ADMINISTRATOR),
            _PROOFS[self.security],
            _ADMINISTRATOR,
        )

    def welcome(self, pipeline: "Pipeline", bootstrap: str, how: BrokerSecurity) -> dict[str, Path]:
        """Make each role's user with its rights, and the settings to connect as it.

        Returns:
            The file of settings of each user. It names files with secrets, and holds none.

        Raises:
            KafkaException: The broker refused, or did not answer.
        """
        from confluent_kafka.admin import AdminClient

        from headrace.deploy.granting import grant, set_passwords

        admin = AdminClient({"bootstrap.servers": bootstrap, **how.client()})
        users = [user_of(pipeline, role) for role in Role]
        if self.security is Security.SCRAM:
            set_passwords(admin, {user: self._password(user) for user in users})
        for role in Role:
            grant(admin, pipeline, role)
        return {user: self._settings(user, bootstrap) for user in users}

    def renew(self, bootstrap: str) -> None:
        """Write the settings of the users that there are anew: the port may be another."""
        for file in self.layout.security.glob("*.env"):
            self._settings(file.stem, bootstrap)

    def variables(self, user: str, bootstrap: str) -> Mapping[str, str]:
        """Give the settings with which a process connects as a user."""
        common = {"HEADRACE_BOOTSTRAP_SERVERS": bootstrap}
        authority = {"HEADRACE_SSL_CA_LOCATION": str(self.authority.certificate)}
        if self.security is Security.MUTUAL_TLS:
            certificate, key = self.authority.issued(user)
            return {
                **common,
                "HEADRACE_SECURITY_PROTOCOL": "ssl",
                "HEADRACE_SSL_CERTIFICATE_LOCATION": str(certificate),
                "HEADRACE_SSL_KEY_LOCATION": str(key),
                **authority,
            }
        return {
            **common,
            "HEADRACE_SECURITY_PROTOCOL": "sasl_ssl",
            "HEADRACE_SASL_MECHANISM": "SCRAM-SHA-512",
            "HEADRACE_SASL_USERNAME": user,
            "HEADRACE_SASL_PASSWORD_FILE": str(self._password_file(user)),
            **authority,
        }

    def _settings(self, user: str, bootstrap: str) -> Path:
        file = self.layout.security / f"{user}.env"
        _write(file, "".join(f"{line}\n" for line in lines(self.variables(user, bootstrap))))
        return file

    def _password(self, user: str) -> str:
        file = self._password_file(user)
        if not file.exists():
            _write(file, secrets.token_urlsafe(24))
        return file.read_text().strip()

    def _password_file(self, user: str) -> Path:
        return self.layout.security / f"{user}.password"


def lines(variables: Mapping[str, str]) -> Iterator[str]:
    """Write settings as a shell and Compose's `env_file` read them."""
    for name, value in variables.items():
        yield f"{name}={shlex.quote(value)}"


def _write(file: Path, text: str) -> None:
    """Write a file as a whole, for its owner's eyes."""
    draft = file.with_name(f"{file.name}.draft")
    draft.touch(_PRIVATE)
    draft.write_text(text)
    draft.replace(file)
