"""Deriving state from the stream: what became of jobs, dead letters, lag, statistics.

`faust_app`, `job_of`, `run_stream`, the values of streams and `stored_results` are imported when they
are first asked for: nothing else needs Faust or SQLAlchemy.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from headrace.processors.result_source import StoredResults, stored_results
    from headrace.processors.statistics.reading import Statistics, read_statistics
    from headrace.processors.streams.app import PipelineApp, faust_app, job_of
    from headrace.processors.streams.running import run_stream
    from headrace.processors.streams.values import JobArguments, TransitionBatch

_PLACES: Final = {
    "Statistics": "statistics.reading",
    "read_statistics": "statistics.reading",
    "StoredResults": "result_source",
    "stored_results": "result_source",
    "PipelineApp": "streams.app",
    "faust_app": "streams.app",
    "job_of": "streams.app",
    "run_stream": "streams.running",
    "JobArguments": "streams.values",
    "TransitionBatch": "streams.values",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


__all__ = [
    "JobArguments",
    "PipelineApp",
    "Statistics",
    "StoredResults",
    "TransitionBatch",
    "faust_app",
    "job_of",
    "read_statistics",
    "run_stream",
    "stored_results",
]
