"""What KEDA does with an external scaler: its calls, over a real channel."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2

from headrace.processors.scaler.servicing import SERVICE
from headrace.processors.scaler.wire import externalscaler_pb2 as wire
from tests.support.stage import wait_until

DEADLINE = 20.0


class Keda:
    """A client of a scaler.

    Args:
        address: `host:port`.
        credentials: None for plaintext.
    """

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        if credentials is None:
            self._channel = grpc.insecure_channel(address)
        else:
            self._channel = grpc.secure_channel(address, credentials)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def is_active(self, **metadata: str) -> bool:
        answer = self._ask("IsActive", _reference(metadata), wire.IsActiveResponse)
        return bool(answer.result)

    def spec(self, **metadata: str) -> tuple[str, float]:
        """The metric's name and its target for each pod."""
        answer = self._ask("GetMetricSpec", _reference(metadata), wire.GetMetricSpecResponse)
        (spec,) = answer.metricSpecs
        assert spec.targetSize == max(1, round(spec.targetSizeFloat))
        return spec.metricName, spec.targetSizeFloat

    def jobs(self, **metadata: str) -> float:
        """What the HPA gets for the lane."""
        request = wire.GetMetricsRequest(scaledObjectRef=_reference(metadata), metricName="any")
        (value,) = self._ask("GetMetrics", request, wire.GetMetricsResponse).metricValues
        assert value.metricValue == round(value.metricValueFloat)
        return float(value.metricValueFloat)

    def health(self) -> str:
        call = self._channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        answer = call(health_pb2.HealthCheckRequest(service=SERVICE), timeout=DEADLINE)
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

    def refused(self, **metadata: str) -> tuple[grpc.StatusCode, str]:
        """How a question for the backlog is refused: the code, and the sentence."""
        try:
            jobs = self.jobs(**metadata)
        except grpc.RpcError as error:
            return error.code(), error.details() or ""
        raise AssertionError(f"it was answered: {jobs}")

    @contextmanager
    def stream(self, **metadata: str) -> Iterator["Told"]:
        """What is pushed about a lane, as long as the block lasts."""
        call: Any = self._channel.unary_stream(
            f"/{SERVICE}/StreamIsActive",
            wire.ScaledObjectRef.SerializeToString,
            wire.IsActiveResponse.FromString,
        )(_reference(metadata))
        told = Told()
        thread = threading.Thread(target=told.follow, args=(call,))
        thread.start()
        try:
            yield told
        finally:
            call.cancel()
            thread.join()

    def _ask(self, name: str, request: Any, answer: Any) -> Any:
        call = self._channel.unary_unary(
            f"/{SERVICE}/{name}", type(request).SerializeToString, answer.FromString
        )
        return call(request, timeout=DEADLINE)


@dataclass
class Told:
    """What a stream has told so far."""

    words: list[bool] = field(default_factory=list)
    end: grpc.StatusCode | None = None
    """How it ended; None while it lasts."""

    def follow(self, call: Any) -> None:
        try:
            for answer in call:
                self.words.append(answer.result)
        except grpc.RpcError:
            pass  # its code says why
        self.end = call.code()

    def await_words(self, *words: bool) -> None:
        wait_until(f"it is told {words}", lambda: self.words == list(words))


def _reference(metadata: dict[str, str]) -> wire.ScaledObjectRef:
    # KEDA passes its own keys on, too
    given = {"scalerAddress": "scaler:6000", **metadata}
    return wire.ScaledObjectRef(name="lane", namespace="test", scalerMetadata=given)
