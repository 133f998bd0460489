"""Of a profile: the external scaler, where the lanes are scaled by it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from headrace.deploy.profile_types import STRICT, KubernetesName, Positive
from headrace.pipeline.durations import PositiveDuration
from headrace.pipeline.settings.scaler import LONGEST_START


@dataclass(frozen=True, slots=True)
class ScalerProfile:
    """The external scaler. Where a profile has one, KEDA asks it, and Kafka no more.

    Attributes:
        certificates_secret: What the scaler proves itself with: a Secret with the keys `tls.crt`,
            `tls.key`, and `ca.crt`, the authority of KEDA's certificate. The certificate is good for
            `<pipeline>-scaler.<namespace>`.
        client_secret: What KEDA proves itself with: a Secret with the same keys; its `ca.crt` is the
            authority of the scaler's certificate.
        start_time: How long a pod takes to start: what falls due within it counts as ready.
        forecast: Whether a growing backlog counts as what it will be in a minute.
        replicas: Scalers; each answers for itself.
        keda_namespace: Where KEDA runs, for the network policy.
        api_cidrs: Where Kubernetes' API server is, as pods reach it, for the network policy. When
            given, the scaler also steers scaling in.
        api_ports: Of the API server.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    certificates_secret: KubernetesName
    client_secret: KubernetesName
    start_time: Annotated[PositiveDuration, Field(le=LONGEST_START)] = timedelta(seconds=30)
    forecast: bool = False
    replicas: Positive = 2
    keda_namespace: KubernetesName = "keda"
    api_cidrs: tuple[str, ...] = ()
    api_ports: tuple[Positive, ...] = (443, 6443)

    @property
    def steers_scaling_in(self) -> bool:
        """Whether it changes pods and ScaledObjects."""
        return bool(self.api_cidrs)
