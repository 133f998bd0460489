"""One trigger that asks an external scaler: whether KEDA reaches it safely, and ours understands it."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from headrace.deploy.lint.findings import Finder, Finding
from headrace.deploy.lint.objects import mapping
from headrace.processors.scaler.errors import TriggerError
from headrace.processors.scaler.trigger import Key, read_trigger

EXTERNAL: Final = ("external", "external-push")
_PUSHED: Final = "external-push"
_ADDRESS: Final = "scalerAddress"
_TLS: Final = "enableTLS"
_UNSAFE: Final = "unsafeSsl"
_SECRETS: Final = frozenset({"caCert", "tlsClientCert", "tlsClientKey"})
"""What KEDA takes from a TriggerAuthentication alone."""
_TELLING: Final = frozenset({Key.PIPELINE, Key.LANE, Key.TARGET})
"""Two of them in one trigger are no chance: it is meant for Headrace's scaler."""
_NEAR: Final = ("localhost:", "127.0.0.1:", "[::1]:")
_ANY_START: Final = timedelta(seconds=30)


def is_ours(trigger: Mapping[str, Any]) -> bool:
    """Say whether a trigger is meant for Headrace's own scaler."""
    return len(_TELLING & mapping(trigger.get("metadata")).keys()) > 1


def check_external(say: Finder, place: str, trigger: Mapping[str, Any]) -> Iterator[Finding]:
    """Look through one trigger of a type of `EXTERNAL`. What other scalers take is theirs to say."""
    metadata, at = mapping(trigger.get("metadata")), f"{place}.metadata"
    yield from _values(say, at, metadata)
    yield from _address(say, at, metadata)
    yield from _safety(say, place, trigger, metadata)
    if is_ours(trigger):
        yield from _understood(say, at, metadata)
        if trigger.get("type") != _PUSHED:
            yield say.warning(
                "not-pushed",
                f"{place}.type",
                "KEDA then asks at its own times alone: a lane that sleeps is woken up to a "
                "pollingInterval late",
                f"write type: {_PUSHED}, by which the scaler wakes it in time",
            )


def _values(say: Finder, at: str, metadata: Mapping[str, Any]) -> Iterator[Finding]:
    for name, value in metadata.items():
        where = f"{at}.{name}"
        if name in _SECRETS:
            yield say.error(
                "secret-in-trigger",
                where,
                f"KEDA takes `{name}` from a TriggerAuthentication alone; what stands here it passes "
                "on to the scaler, and everybody who may read ScaledObjects reads it",
                "put it into a Secret, refer to that in a TriggerAuthentication's secretTargetRef, "
                "and name it in authenticationRef",
            )
        elif not isinstance(value, str):
            yield say.error(
                "not-a-text",
                where,
                f"trigger metadata are texts, and {value!r} is none: the API server refuses it",
                f'write {name}: "{str(value).lower()}"',
            )
        elif name in (_TLS, _UNSAFE) and value not in ("true", "false"):
            yield say.error(
                "bad-value",
                where,
                f"{value!r} is not true or false: the API server takes it, and KEDA then cannot make "
                "the scaler",
                'write "true" or "false"',
            )


def _address(say: Finder, at: str, metadata: Mapping[str, Any]) -> Iterator[Finding]:
    address = str(metadata.get(_ADDRESS, ""))
    if not address:
        yield say.error(
            "missing-parameter",
            at,
            f"there is no {_ADDRESS}: KEDA refuses the trigger",
            f"write {_ADDRESS}, the host and port of the scaler's Service",
        )
    elif ":" not in address:
        yield say.error(
            "no-port",
            f"{at}.{_ADDRESS}",
            f"{address} has no port, so KEDA asks port 443",
            f"write {address}:6000, or the port that the scaler's Service has",
        )


def _safety(
    say: Finder, place: str, trigger: Mapping[str, Any], metadata: Mapping[str, Any]
) -> Iterator[Finding]:
    near = str(metadata.get(_ADDRESS, "")).startswith(_NEAR)
    proves, encrypts = "authenticationRef" in trigger, metadata.get(_TLS) == "true"
    if is_ours(trigger) and not proves and not near:
        yield say.error(
            "no-certificate",
            f"{place}.authenticationRef",
            "beyond its own host the scaler takes nobody without a certificate, and KEDA has none "
            "to show: every question fails",
            "name a TriggerAuthentication with caCert, tlsClientCert and tlsClientKey",
        )
    elif proves and not encrypts:
        yield say.warning(
            "plain-text-without-secret",
            f"{place}.metadata.{_TLS}",
            "KEDA that finds the Secret empty or missing asks in plain text, and says so nowhere",
            f'write {_TLS}: "true"',
        )
    elif not proves and not encrypts and not near:
        yield say.warning(
            "plain-text",
            f"{place}.metadata.{_TLS}",
            "KEDA asks in plain text, so whoever answers decides how many pods there are",
            f'write {_TLS}: "true", and give certificates in a TriggerAuthentication',
        )
    if metadata.get(_UNSAFE) == "true":
        yield say.warning(
            "unchecked-certificate",
            f"{place}.metadata.{_UNSAFE}",
            "KEDA believes whoever answers",
            "leave it out, and give the CA as `caCert` in the TriggerAuthentication",
        )


def _understood(say: Finder, at: str, metadata: Mapping[str, Any]) -> Iterator[Finding]:
    """Have the scaler's own reader say what it would refuse."""
    given = {name: str(each) for name, each in metadata.items() if name not in _SECRETS}
    named, lane = given.get(Key.PIPELINE, ""), given.get(Key.LANE, "")
    try:
        read_trigger(given, named, {lane}, _ANY_START)
    except TriggerError as error:
        yield say.error(
            "scaler-refuses",
            at,
            f"the scaler answers every question with an error: {error}",
            "correct it; docs/how-to/scale-on-due-work.md lists what a trigger may have",
        )
        return
    if not lane.startswith(f"{named}."):
        yield say.error(
            "not-a-lane",
            f"{at}.{Key.LANE}",
            f"{lane!r} is no lane of pipeline {named!r}: the scaler refuses it",
            f"write the lane's topic, {named}.QUEUE.PRIORITY",
        )
