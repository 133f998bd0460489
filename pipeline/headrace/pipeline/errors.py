"""Errors of declaration, settings and topics.

HeadraceError
├── DeclarationError      a pipeline, queue, job type or policy is declared wrongly
├── LoadError             `module:attribute` does not name a pipeline
├── SettingsError         a setting is wrong; names the variable, the value and the remedy
├── UnknownJobTypeError   a job type that the pipeline does not declare
├── TopicError            topics are missing or differ from the declaration
│   └── RightsError       Kafka knows who asks, and that they may not
├── KafkaUnavailableError Kafka gave no answer in time; trying again may help
├── ClaimsUnavailableError the store of what is too large for Kafka gave no answer
└── LostOffsetError       a consumer group has no usable offset and must not guess
"""

from headrace.schemas.errors import HeadraceError


class DeclarationError(HeadraceError):
    """A pipeline, queue, job type or policy is declared wrongly."""


class LoadError(HeadraceError):
    """`module:attribute` does not name a pipeline."""


class SettingsError(HeadraceError):
    """A setting is wrong; the message names the variable, the value and the remedy."""


class UnknownJobTypeError(HeadraceError):
    """A job type that the pipeline does not declare."""


class TopicError(HeadraceError):
    """Topics are missing or differ from what the declaration needs."""


class RightsError(TopicError):
    """Kafka refused: the user lacks a right on a topic, a group or the cluster."""


class KafkaUnavailableError(HeadraceError):
    """Kafka gave no answer in time. The same call may succeed later."""


class ClaimsUnavailableError(HeadraceError):
    """The store of what is too large for Kafka gave no answer. The same call may succeed later."""


class LostOffsetError(HeadraceError):
    """A consumer group has no usable offset for a partition, and a worker must not guess."""
