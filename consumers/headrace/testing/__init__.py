"""For tests of code that declares and submits jobs.

`run_inline` runs one job here and now, as a worker would; `RecordingProducer` stands in for a
`Producer` and remembers what was submitted. `headrace.testing.pytest_plugin` has fixtures that run
a pipeline on a real Kafka; it is not imported from here, so that this works without pytest.
"""

from headrace.testing.inline import run_inline, run_inline_async
from headrace.testing.recording import RecordingProducer, Submission
from headrace.testing.running import Ended, RunningPipeline, running

__all__ = [
    "Ended",
    "RecordingProducer",
    "RunningPipeline",
    "Submission",
    "run_inline",
    "run_inline_async",
    "running",
]
