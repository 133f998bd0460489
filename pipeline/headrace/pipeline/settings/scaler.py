"""How lanes are scaled from outside."""

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Final, Self

from pydantic import Field, field_validator, model_validator

from headrace.pipeline.durations import PositiveDuration, format_duration
from headrace.pipeline.settings.base import Settings

LONGEST_START: Final = timedelta(minutes=15)
"""No pod should take longer to start: so far ahead the scaler tells what falls due."""
_IN_CLUSTER: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TOKEN_IS_SAFE: Final = ("https://", "http://127.0.0.1:", "http://localhost:", "http://[::1]:")


class ScalerSettings(Settings):
    """How `headrace scaler` looks at Kafka, whom it answers, and what it may change in Kubernetes."""

    scaler_address: str = Field(
        default="127.0.0.1:6000",
        description="Where it listens for KEDA: an IP address and a port, `[::1]:6000` for IPv6; "
        "port 0 takes a free one and logs it.",
    )
    scaler_tls_cert: Path | None = Field(
        default=None,
        description="Its certificate with the chain, a PEM file. It and the next two go together; "
        "the files are read again when they change.",
    )
    scaler_tls_key: Path | None = Field(default=None, description="The certificate's key.")
    scaler_tls_client_ca: Path | None = Field(
        default=None,
        description="Who may ask: clients with a certificate of one of these authorities, a PEM file.",
    )
    scaler_plaintext: bool = Field(
        default=False,
        description="Whether it may listen beyond loopback without TLS: whoever reaches the port "
        "can then read every backlog.",
    )
    scaler_interval: PositiveDuration = Field(
        default=timedelta(seconds=2), description="How often it looks at Kafka."
    )
    scaler_stale_after: PositiveDuration = Field(
        default=timedelta(seconds=30),
        description="How old figures may become, while Kafka has not answered the next look, before "
        "it says that it does not know.",
    )
    scaler_start_time: PositiveDuration = Field(
        default=timedelta(seconds=30),
        le=LONGEST_START,
        description="How long a pod takes to start, for triggers that do not say: what falls due "
        "within this time counts as ready.",
    )
    scaler_scale_in: bool = Field(
        default=False,
        description="Whether it tells Kubernetes which pods have least to lose, and pauses scaling in "
        "while dead letters are replayed.",
    )
    scaler_scale_in_interval: PositiveDuration = Field(
        default=timedelta(seconds=10), description="How often it does that."
    )
    scaler_kubernetes_url: str | None = Field(
        default=None,
        description="Kubernetes' API server, `https://host:port`; that of the pod's cluster when not "
        "given.",
    )
    scaler_kubernetes_account: Path = Field(
        default=_IN_CLUSTER,
        description="A folder with the service account's `token` and `ca.crt`, and with `namespace`, "
        "where the pipeline's objects are.",
    )

    RULES: ClassVar[tuple[str, ...]] = (
        "HEADRACE_SCALER_TLS_CERT, …_TLS_KEY and …_TLS_CLIENT_CA are given together.",
        "Beyond loopback it listens with TLS, unless HEADRACE_SCALER_PLAINTEXT is true.",
        "HEADRACE_SCALER_STALE_AFTER is longer than HEADRACE_SCALER_INTERVAL.",
    )

    @field_validator("scaler_address")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        try:
            ipaddress.ip_address(host.strip("[]"))
            fits = port.isdigit() and int(port) <= 65535
        except ValueError:
            fits = False
        if not fits:
            raise ValueError("write an IP address and a port, such as 0.0.0.0:6000")
        return value

    @field_validator("scaler_kubernetes_url")
    @classmethod
    def _hides_the_token(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(_TOKEN_IS_SAFE):
            raise ValueError("write https://host:port: the service account's token is sent there")
        return value

    @property
    def scaler_tls(self) -> tuple[Path, Path, Path] | None:
        """Certificate, key and the clients' authorities; None without TLS."""
        cert, key, authority = self.scaler_tls_cert, self.scaler_tls_key, self.scaler_tls_client_ca
        if cert is None or key is None or authority is None:
            return None
        return cert, key, authority

    @model_validator(mode="after")
    def _has_all_of_tls(self) -> Self:
        files = (self.scaler_tls_cert, self.scaler_tls_key, self.scaler_tls_client_ca)
        if any(files) and not all(files):
            raise ValueError(
                "of HEADRACE_SCALER_TLS_CERT, HEADRACE_SCALER_TLS_KEY and "
                "HEADRACE_SCALER_TLS_CLIENT_CA some are set and some are not; set all three, or none"
            )
        return self

    @model_validator(mode="after")
    def _is_guarded(self) -> Self:
        host = self.scaler_address.rpartition(":")[0].strip("[]")
        open_to_others = not ipaddress.ip_address(host).is_loopback
        if open_to_others and self.scaler_tls is None and not self.scaler_plaintext:
            raise ValueError(
                f"HEADRACE_SCALER_ADDRESS={self.scaler_address}: beyond loopback the scaler listens "
                "with TLS alone; set HEADRACE_SCALER_TLS_CERT, HEADRACE_SCALER_TLS_KEY and "
                "HEADRACE_SCALER_TLS_CLIENT_CA, or HEADRACE_SCALER_PLAINTEXT=true to let whoever "
                "reaches the port read every backlog"
            )
        return self

    @model_validator(mode="after")
    def _outlives_a_look(self) -> Self:
        if self.scaler_stale_after <= self.scaler_interval:
            raise ValueError(
                f"HEADRACE_SCALER_STALE_AFTER={format_duration(self.scaler_stale_after)}: figures "
                "would be too old before the next look; set it to more than "
                f"HEADRACE_SCALER_INTERVAL={format_duration(self.scaler_interval)}"
            )
        return self
