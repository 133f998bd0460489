"""Turning what librdkafka raises into errors that say what to do."""

from typing import Final

from confluent_kafka import KafkaError, KafkaException

from headrace.pipeline.errors import (
    KafkaUnavailableError,
    RightsError,
    SettingsError,
    TopicError,
)
from headrace.pipeline.kafka import bootstrap
from headrace.pipeline.settings import KafkaSettings
from headrace.schemas.errors import HeadraceError

_PASSING: Final = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)
_UNAVAILABLE: Final = frozenset(
    {
        KafkaError._TIMED_OUT,  # noqa: SLF001 - librdkafka's own codes begin so
        KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001
        KafkaError._MSG_TIMED_OUT,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.BROKER_NOT_AVAILABLE,
        *_PASSING,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)
_IDENTITY: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._SSL,  # noqa: SLF001
    }
)
_RIGHTS: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "the topic (DESCRIBE, DESCRIBE_CONFIGS, CREATE, ALTER, ALTER_CONFIGS, READ, WRITE)",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "the consumer group (DESCRIBE, READ)",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "the cluster (CREATE, DESCRIBE, IDEMPOTENT_WRITE)",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "the transactional id (DESCRIBE, WRITE)",
}

_REMEDIES: Final = {
    KafkaError.INVALID_REPLICATION_FACTOR: "set HEADRACE_TOPIC_REPLICATION to at most the number of brokers, or to -1",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "make the topics with `headrace topics apply`",
    KafkaError.MSG_SIZE_TOO_LARGE: "raise HEADRACE_TOPIC_MAX_MESSAGE_BYTES and apply the topics again",
}


def explain(
    doing: str, error: KafkaError, settings: KafkaSettings, *, right: str | None = None
) -> HeadraceError:
    """Make the error to raise in place of librdkafka's.

    Args:
        doing: What was being done, to what: "creating topic shop.default.high".
        error: What librdkafka said.
        settings: How Kafka was reached.
        right: The one that is missing if Kafka refused for want of rights, where it is known:
            "READ".

    Returns:
        KafkaUnavailableError when trying again may help, RightsError when a right is missing,
        TopicError for everything else.
    """
    code = error.code()
    if code in _UNAVAILABLE:
        return KafkaUnavailableError(
            f"{doing}: no answer from Kafka at {_address(settings)} ({error.str()}); check that "
            "it runs, that HEADRACE_BOOTSTRAP_SERVERS is right, and that "
            "HEADRACE_SECURITY_PROTOCOL and HEADRACE_SASL_MECHANISM are what it expects"
        )
    if code in _IDENTITY:
        return RightsError(
            f"{doing}: Kafka at {_address(settings)} did not let {_user(settings)} in "
            f"({error.str()}); check HEADRACE_SASL_USERNAME, HEADRACE_SASL_PASSWORD and the "
            "HEADRACE_SSL_* files"
        )
    if code in _RIGHTS:
        wanted = f"the rights on {_RIGHTS[code]}" if right is None else f"the right {right} on it"
        return RightsError(
            f"{doing}: Kafka refused it to {_user(settings)} ({error.str()}); grant {wanted}, or "
            "run the command as someone who has it"
        )
    remedy = f"; {_REMEDIES[code]}" if code in _REMEDIES else ""
    return TopicError(f"{doing}: Kafka refused: {error.str()} ({error.name()}){remedy}")


def is_passing(error: KafkaError) -> bool:
    """Tell whether it passes by itself: a topic just made, or a leader that is being elected."""
    return error.code() in _PASSING


def kafka_error(exception: KafkaException) -> KafkaError:
    """Give the error inside librdkafka's exception."""
    error = exception.args[0]
    assert isinstance(error, KafkaError)
    return error


def _address(settings: KafkaSettings) -> str:
    try:
        return bootstrap(settings)
    except SettingsError:  # the embedded broker was stopped in between
        return "the embedded broker's last address"


def _user(settings: KafkaSettings) -> str:
    return f"user {settings.sasl_username!r}" if settings.sasl_username else "an anonymous user"
