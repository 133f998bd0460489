"""KEDA's calls, answered from what the watch keeps: none of them waits for Kafka.

The interface: https://keda.sh/docs/latest/concepts/external-scalers/, `wire/externalscaler.proto`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, Final, Protocol, TypeVar

import grpc

from headrace.consumers.clock import now_ms
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.telemetry.metrics import Metrics
from headrace.pipeline.telemetry.scaler_metrics import ScalerMetric
from headrace.processors.scaler.demand import Demand
from headrace.processors.scaler.errors import ScalerError, TriggerError, UnknownBacklogError
from headrace.processors.scaler.trigger import Trigger, read_trigger
from headrace.processors.scaler.wire import externalscaler_pb2 as wire

SERVICE: Final = "externalscaler.ExternalScaler"
TICK: Final = 0.1
"""Seconds between two looks of a stream at what the watch keeps: so late a lane may be woken."""
_Context = grpc.aio.ServicerContext[Any, Any]
_T = TypeVar("_T")


class Demands(Protocol):
    """What tells what lanes ask for."""

    def demand(self, lane: str) -> Demand:
        """Tell what a lane asks for; raises UnknownBacklogError."""
        ...


class ScalerServicer:
    """Answers KEDA. Its methods run on one event loop.

    Args:
        pipeline: The declaration.
        demands: What lanes ask for.
        start_time: How long a pod takes to start, for triggers that do not say.
        metrics: Where calls are counted.
        clock: Gives epoch milliseconds.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        demands: Demands,
        start_time: timedelta,
        metrics: Metrics,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._pipeline = pipeline.name
        self._lanes = frozenset(lane.topic for lane in pipeline.topology.lanes())
        self._demands = demands
        self._start_time = start_time
        self._metrics = metrics
        self._streams = metrics.child(ScalerMetric.STREAMS)
        self._clock = clock
        self._ending = False

    def end_streams(self) -> None:
        """Let streams end in order. KEDA opens one that ended so anew within seconds, and waits longer
        after an error.
        """  # noqa: D205
        self._ending = True

    def handler(self) -> grpc.GenericRpcHandler:
        """Give what a server is to register."""
        reference = wire.ScaledObjectRef.FromString
        unary: Any = grpc.unary_unary_rpc_method_handler
        stream: Any = grpc.unary_stream_rpc_method_handler
        calls = {
            "IsActive": unary(self.is_active, reference, _bytes),
            "StreamIsActive": stream(self.stream_is_active, reference, _bytes),
            "GetMetricSpec": unary(self.metric_spec, reference, _bytes),
            "GetMetrics": unary(self.metrics, wire.GetMetricsRequest.FromString, _bytes),
        }
        return grpc.method_handlers_generic_handler(SERVICE, calls)

    async def is_active(
        self, request: wire.ScaledObjectRef, context: _Context
    ) -> wire.IsActiveResponse:
        """Say whether the lane needs a pod at all."""

        def answer() -> wire.IsActiveResponse:
            trigger = self._read(request)
            return wire.IsActiveResponse(result=self._is_active(trigger))

        return await self._answered("IsActive", context, answer)

    async def metric_spec(
        self, request: wire.ScaledObjectRef, context: _Context
    ) -> wire.GetMetricSpecResponse:
        """Say how many ready jobs there may be for each pod."""

        def answer() -> wire.GetMetricSpecResponse:
            trigger = self._read(request)
            # The whole number is for a KEDA that does not know the other one
            spec = wire.MetricSpec(
                metricName=trigger.metric,
                targetSize=max(1, round(trigger.target)),
                targetSizeFloat=trigger.target,
            )
            return wire.GetMetricSpecResponse(metricSpecs=[spec])

        return await self._answered("GetMetricSpec", context, answer)

    async def metrics(
        self, request: wire.GetMetricsRequest, context: _Context
    ) -> wire.GetMetricsResponse:
        """Say how many jobs are ready, or will be when a new pod is."""

        def answer() -> wire.GetMetricsResponse:
            trigger = self._read(request.scaledObjectRef)
            jobs = self._demands.demand(trigger.lane).jobs(trigger, self._clock())
            value = wire.MetricValue(
                metricName=trigger.metric, metricValue=round(jobs), metricValueFloat=jobs
            )
            return wire.GetMetricsResponse(metricValues=[value])

        return await self._answered("GetMetrics", context, answer)

    async def stream_is_active(
        self, request: wire.ScaledObjectRef, context: _Context
    ) -> AsyncIterator[wire.IsActiveResponse]:
        """Say whether the lane needs a pod, at once and whenever that changes.

        While nobody knows, nothing is said, and the stream stays: KEDA waits up to a minute before it
        opens one anew that broke, and a job may fall due meanwhile.
        """

        def answer() -> Trigger:
            return self._read(request)

        trigger = await self._answered("StreamIsActive", context, answer)
        self._streams.inc()
        try:
            told: bool | None = None
            while not self._ending:
                active = self._known(trigger)
                if active is not None and active != told:
                    told = active
                    yield wire.IsActiveResponse(result=active)
                await asyncio.sleep(TICK)
        finally:
            self._streams.dec()

    def _read(self, reference: wire.ScaledObjectRef) -> Trigger:
        metadata = dict(reference.scalerMetadata)
        return read_trigger(metadata, self._pipeline, self._lanes, self._start_time)

    def _is_active(self, trigger: Trigger) -> bool:
        return self._demands.demand(trigger.lane).is_active(trigger, self._clock())

    def _known(self, trigger: Trigger) -> bool | None:
        try:
            return self._is_active(trigger)
        except UnknownBacklogError:
            return None

    async def _answered(self, call: str, context: _Context, answer: Callable[[], _T]) -> _T:
        try:
            found = answer()
        except ScalerError as error:
            wrong = isinstance(error, TriggerError)
            code = grpc.StatusCode.INVALID_ARGUMENT if wrong else grpc.StatusCode.UNAVAILABLE
            self._count(call, code)
            await context.abort(code, str(error))
        self._count(call, grpc.StatusCode.OK)
        return found

    def _count(self, call: str, code: grpc.StatusCode) -> None:
        self._metrics.child(ScalerMetric.ANSWERS, call=call, code=code.name).inc()


def _bytes(message: Any) -> bytes:
    content: bytes = message.SerializeToString()
    return content
