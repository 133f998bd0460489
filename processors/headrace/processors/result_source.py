"""The ends of jobs from the query store, for producers whose events topic tells them no more."""

from types import TracebackType
from typing import Self

from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import StoreSettings, load
from headrace.processors.store.engine import connect
from headrace.processors.store.reading import StoreReader
from headrace.processors.stored_job import transitions_of
from headrace.schemas.transitions import Transition


class StoredResults:
    """Gives the last transition of a job that the store has, with what its handler returned.

    Thread-safe. Connects when first asked. `Producer(pipeline, results=stored_results(pipeline))`.
    """

    def __init__(self, pipeline: Pipeline, settings: StoreSettings) -> None:
        self._engine = connect(settings)
        self._reader = StoreReader(self._engine, pipeline.name)

    def __call__(self, job_id: str) -> Transition | None:
        """Look a job up; None when the store does not know it.

        Raises:
            StoreError: The store cannot be read.
        """
        life = self._reader.life(job_id)
        told = () if life is None else transitions_of(life)
        return told[-1] if told else None

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def stored_results(pipeline: Pipeline, settings: StoreSettings | None = None) -> StoredResults:
    """Make what a producer asks for results that Kafka does not tell any more.

    Args:
        pipeline: The declaration; handlers are not needed.
        settings: Where the store is; from the environment when not given.

    Raises:
        SettingsError: A setting is wrong.
        StoreError: The URL of the store is wrong, or its driver is not installed.
    """
    return StoredResults(pipeline, settings or load(StoreSettings))
