"""Where arguments and results are stored that are too large for Kafka."""

from pydantic import Field, SecretStr

from headrace.pipeline.settings.base import Settings


class ClaimSettings(Settings):
    """Where arguments and results go that are too large for Kafka. Every process needs the same."""

    claims_url: SecretStr | None = Field(
        default=None,
        description="Where they are stored, as fsspec has it: a folder that all machines share "
        "(`/srv/claims`), `s3://bucket/prefix` (with the extra `s3`) … Without it they are refused. "
        "Never logged: it may hold a password.",
    )
    claims_above: int = Field(
        default=131_072,
        ge=0,
        description="Arguments and results of more bytes than this are stored there; results "
        "also above HEADRACE_WORKER_MAX_RESULT_BYTES.",
    )
