"""The query store: where it is, and how long it keeps jobs."""

from datetime import timedelta

from pydantic import Field, SecretStr

from headrace.pipeline.durations import PositiveDuration
from headrace.pipeline.settings.base import Settings


class StoreSettings(Settings):
    """What the projector writes and the views read."""

    store_url: SecretStr = Field(
        default=SecretStr("sqlite:///.headrace/store.db"),
        description="The query store, as an SQLAlchemy URL: `sqlite:///PATH`, or "
        "`postgresql+psycopg://USER:PASSWORD@HOST/DATABASE` (needs `headrace[postgres]`). One "
        "database may hold the stores of several pipelines.",
    )
    store_keep_done: PositiveDuration = Field(
        default=timedelta(days=7),
        description="How long the store keeps jobs that have succeeded, or were cancelled, expired "
        "or duplicates. They stay counted.",
    )
    store_keep_dead: PositiveDuration = Field(
        default=timedelta(days=30),
        description="How long the store keeps dead jobs. They stay counted.",
    )
