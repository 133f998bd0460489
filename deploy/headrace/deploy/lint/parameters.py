"""The parameters of KEDA's kafka trigger, which the API server takes for any texts: KEDA 2.21."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from headrace.deploy.lint.findings import Finder, Finding


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a parameter takes.

    Attributes:
        wanted: In words.
        takes: Whether a text is one.
    """

    wanted: str
    takes: Callable[[str], bool]


def _number(least: int) -> Parameter:
    return Parameter(
        f"a whole number of {least} or more",
        lambda text: text.isdecimal() and int(text) >= least,
    )


def _one_of(*allowed: str) -> Parameter:
    return Parameter(" or ".join(allowed), lambda text: text in allowed)


_TEXT: Final = Parameter("a text", lambda text: bool(text.strip()))
_TRUTH: Final = _one_of("true", "false")
PARAMETERS: Final[Mapping[str, Parameter]] = {
    "bootstrapServers": _TEXT,
    "bootstrapServersFromEnv": _TEXT,
    "consumerGroup": _TEXT,
    "consumerGroupFromEnv": _TEXT,
    "topic": _TEXT,
    "topicFromEnv": _TEXT,
    "partitionLimitation": _TEXT,
    "lagThreshold": _number(1),
    "activationLagThreshold": _number(0),
    "offsetResetPolicy": _one_of("latest", "earliest"),
    "allowIdleConsumers": _TRUTH,
    "excludePersistentLag": _TRUTH,
    "scaleToZeroOnInvalidOffset": _TRUTH,
    "limitToPartitionsWithLag": _TRUTH,
    "ensureEvenDistributionOfPartitions": _TRUTH,
    "fullMetadata": _TRUTH,
    "version": _TEXT,
    "tls": _one_of("enable", "disable"),
    "unsafeSsl": _TRUTH,
    "sasl": _one_of("none", "plaintext", "scram_sha256", "scram_sha512", "oauthbearer", "gssapi"),
    "saslTokenProvider": _one_of("bearer", "aws_msk_iam"),
    "awsRegion": _TEXT,
}
SECRETS: Final = frozenset(
    {"username", "password", "ca", "cert", "key", "keyPassword", "keytab", "oauthTokenEndpointUri"}
)
"""Parameters that KEDA takes from a TriggerAuthentication alone."""


def check_parameters(say: Finder, place: str, metadata: Mapping[str, Any]) -> Iterator[Finding]:
    """Find parameters that KEDA passes over, or refuses when it is too late."""
    for name, value in metadata.items():
        where = f"{place}.{name}"
        if name in SECRETS:
            yield say.error(
                "secret-in-trigger",
                where,
                f"KEDA takes `{name}` from a TriggerAuthentication alone and passes it over here, "
                "where everybody who may read ScaledObjects reads it",
                "put it into a Secret, refer to that in a TriggerAuthentication's "
                "secretTargetRef, and name it in authenticationRef",
            )
        elif name not in PARAMETERS:
            yield _unknown(say, where, name)
        elif not isinstance(value, str):
            yield say.error(
                "not-a-text",
                where,
                f"trigger metadata are texts, and {value!r} is none: the API server refuses it",
                f'write {name}: "{str(value).lower()}"',
            )
        elif not PARAMETERS[name].takes(value):
            yield say.error(
                "bad-value",
                where,
                f"{value!r} is not {PARAMETERS[name].wanted}: the API server takes it, and KEDA "
                "then cannot make the scaler",
                f"write {PARAMETERS[name].wanted}",
            )


def _unknown(say: Finder, where: str, name: str) -> Finding:
    close = difflib.get_close_matches(name, PARAMETERS, n=1)
    return say.error(
        "unknown-parameter",
        where,
        f"KEDA's kafka trigger has no parameter `{name}`: the API server takes any, and KEDA passes "
        "it over in silence",
        f"write `{close[0]}`" if close else "leave it out",
    )
