"""A bound on the series of each metric, whatever names come.

Labels take their values from declarations, and from operators (schedules), so there are few. Should
there be very many all the same, a monitoring system must not pay for it: beyond the bound, what comes
is added up in one series whose labels all say `other`. What was shown once stays, so that no counter
ever goes down.
"""

from collections import defaultdict
from collections.abc import Mapping
from threading import Lock
from typing import Final

from headrace.pipeline.telemetry.metric_specs import HistogramSpec, MetricSpec
from headrace.pipeline.telemetry.series import Histogram

MOST_SERIES: Final = 5_000
"""Label sets of one metric that a process shows by themselves."""
OTHER: Final = "other"
LabelValues = tuple[str, ...]


class SeriesBound:
    """Remembers which label sets are shown by themselves. Thread-safe.

    Args:
        most: How many, for each metric.
    """

    def __init__(self, most: int = MOST_SERIES) -> None:
        self._most = most
        self._lock = Lock()
        self._shown: defaultdict[str, set[LabelValues]] = defaultdict(set)

    def values(
        self, spec: MetricSpec, values: Mapping[LabelValues, float]
    ) -> Mapping[LabelValues, float]:
        """Give what is shown of counters and gauges."""
        shown: dict[LabelValues, float] = {}
        for labels, value in values.items():
            place = self._place(spec, labels)
            shown[place] = shown.get(place, 0.0) + value
        return shown

    def histograms(
        self, spec: HistogramSpec, series: Mapping[LabelValues, Histogram]
    ) -> Mapping[LabelValues, Histogram]:
        """Give what is shown of histograms."""
        shown: dict[LabelValues, Histogram] = {}
        for labels, histogram in series.items():
            place = self._place(spec, labels)
            if place == labels:
                shown[place] = histogram
            else:
                shown.setdefault(place, Histogram(spec.buckets)).add(histogram)
        return shown

    def _place(self, spec: MetricSpec, labels: LabelValues) -> LabelValues:
        with self._lock:
            shown = self._shown[spec.name]
            if labels in shown:
                return labels
            if len(shown) < self._most:
                shown.add(labels)
                return labels
        return (OTHER,) * len(labels)
