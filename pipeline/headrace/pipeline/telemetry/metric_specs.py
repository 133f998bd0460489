"""What a metric is, as data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Label:
    """A label: what it says, and its values where they are a closed list."""

    name: str
    help: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric: its full name, its meaning, the unit of its values, its labels in order."""

    name: str
    help: str
    labels: tuple[Label, ...] = ()
    unit: str = ""


@dataclass(frozen=True, slots=True)
class CounterSpec(MetricSpec):
    """Only grows, from 0 at the start of the process."""


@dataclass(frozen=True, slots=True)
class GaugeSpec(MetricSpec):
    """A value of this moment."""


@dataclass(frozen=True, slots=True)
class HistogramSpec(MetricSpec):
    """How often which sizes occurred.

    Attributes:
        buckets: Upper bounds, ascending, in the metric's unit; `+Inf` follows by itself.
    """

    buckets: tuple[float, ...] = ()
