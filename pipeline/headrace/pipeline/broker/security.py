"""An embedded broker that asks its clients who they are, and lets them do what they were allowed."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

LISTENER: Final = "CLIENTS"
_AUTHORIZER: Final = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
_PLAIN: Final = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule"


class Proof(StrEnum):
    """How clients prove who they are. The connection is TLS in both cases."""

    SCRAM = "scram"
    """By a password: SASL SCRAM-SHA-512. The administrator makes the users."""
    CERTIFICATE = "certificate"
    """By a certificate; its common name is the user."""


@dataclass(frozen=True)
class BrokerSecurity:
    """TLS and access rights for an embedded broker: nobody may do what no rule allows.

    Attributes:
        keystore: A PEM file with the broker's private key and its certificate, which is for
            127.0.0.1.
        authority: A PEM file with the CA of the broker's and the clients' certificates.
        password: Of the administrator, who may do everything. The broker itself uses it too.
        proof: How clients prove who they are. Administrators may always use the password.
        administrator: The administrator's name; with certificates the broker's own common name.
    """

    keystore: Path
    authority: Path
    password: str
    proof: Proof = Proof.SCRAM
    administrator: str = "admin"

    @property
    def protocol(self) -> str:
        """The clients' listener's security protocol."""
        return "SASL_SSL" if self.proof is Proof.SCRAM else "SSL"

    def properties(self) -> dict[str, str]:
        """What `server.properties` has besides: it holds the password, so nobody else reads it."""
        return {
            "authorizer.class.name": _AUTHORIZER,
            "allow.everyone.if.no.acl.found": "false",
            "super.users": f"User:{self.administrator}",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.keystore),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority),
            "inter.broker.listener.name": LISTENER,
            # SCRAM's users are kept by the controllers, so between these it cannot be asked for
            "sasl.mechanism.controller.protocol": "PLAIN",
            "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.controller.plain.sasl.jaas.config": self._jaas(),
            **(self._with_passwords() if self.proof is Proof.SCRAM else self._with_certificates()),
        }

    def _with_passwords(self) -> dict[str, str]:
        name = f"listener.name.{LISTENER.lower()}"
        return {
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            f"{name}.sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
            f"{name}.plain.sasl.jaas.config": self._jaas(),
            f"{name}.scram-sha-512.sasl.jaas.config": f"{_SCRAM} required;",
        }

    def _with_certificates(self) -> dict[str, str]:
        name = f"listener.name.{LISTENER.lower()}"
        return {
            f"{name}.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
        }

    def _jaas(self) -> str:
        """The broker's own name and password, and the one user whom it takes by PLAIN."""
        name, password = self.administrator, self.password
        given = f'username="{name}" password="{password}" user_{name}="{password}"'
        return f"{_PLAIN} required {given};"

    def client(self) -> Mapping[str, Any]:
        """Give librdkafka's settings of the administrator."""
        common = {"ssl.ca.location": str(self.authority)}
        if self.proof is Proof.CERTIFICATE:
            pair = {
                "ssl.certificate.location": str(self.keystore),
                "ssl.key.location": str(self.keystore),
            }
            return {"security.protocol": "ssl", **common, **pair}
        return {
            "security.protocol": "sasl_ssl",
            "sasl.mechanism": "PLAIN",
            "sasl.username": self.administrator,
            "sasl.password": self.password,
            **common,
        }
