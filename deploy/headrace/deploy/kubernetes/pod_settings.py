"""The variables of pods. No secrets are among them: files hold those."""

from typing import Any, Final

from headrace.deploy.access import Role
from headrace.deploy.kubernetes.setting import Setting
from headrace.deploy.profile_kafka import Security

PORT: Final = 9464
CREDENTIALS: Final = "/etc/headrace/kafka"
CA: Final = "/etc/headrace/ca"


def own_settings(setting: Setting, role: Role) -> tuple[tuple[str, Any], ...]:
    """Give the variables by which a role's processes prove who they are."""
    security = setting.profile.kafka.security
    user = setting.user(role)
    own: tuple[tuple[str, Any], ...] = (("HEADRACE_CLIENT_ID", user),)
    if security is Security.SCRAM:
        own += (
            ("HEADRACE_SASL_USERNAME", user),
            ("HEADRACE_SASL_PASSWORD_FILE", f"{CREDENTIALS}/password"),
        )
    if security is Security.MUTUAL_TLS:
        own += (
            ("HEADRACE_SSL_CERTIFICATE_LOCATION", f"{CREDENTIALS}/user.crt"),
            ("HEADRACE_SSL_KEY_LOCATION", f"{CREDENTIALS}/user.key"),
        )
    return own


def shared_settings(setting: Setting) -> dict[str, str]:
    """Give the variables that all processes share. No secrets are among them."""
    kafka, topics = setting.profile.kafka, setting.profile.topics.settings()
    protocols = {
        Security.PLAINTEXT: {"HEADRACE_SECURITY_PROTOCOL": "plaintext"},
        Security.SCRAM: {
            "HEADRACE_SECURITY_PROTOCOL": "sasl_ssl",
            "HEADRACE_SASL_MECHANISM": "SCRAM-SHA-512",
        },
        Security.MUTUAL_TLS: {"HEADRACE_SECURITY_PROTOCOL": "ssl"},
    }
    given = topics.model_dump(mode="json", exclude_none=True)
    with_ca = kafka.security is not Security.PLAINTEXT and kafka.ca_secret is not None
    return {
        "HEADRACE_PIPELINE": setting.reference,
        "HEADRACE_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        **protocols[kafka.security],
        **({"HEADRACE_SSL_CA_LOCATION": f"{CA}/ca.crt"} if with_ca else {}),
        "HEADRACE_HTTP_HOST": "0.0.0.0",  # noqa: S104 - of the pod
        "HEADRACE_HTTP_PORT": str(PORT),
        "HEADRACE_LOG_FORMAT": "json",
        "HEADRACE_STATS_DIR": "/tmp/streams",  # noqa: S108 - the pod's own
        **{f"HEADRACE_{name.upper()}": str(value) for name, value in given.items()},
    }


def variable(name: str, value: Any) -> dict[str, Any]:
    """Write a variable as a container has it."""
    return {"name": name, **({"valueFrom": value} if isinstance(value, dict) else {"value": value})}
