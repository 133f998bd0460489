"""Every error of the wire format, and the root of all errors of Headrace.

HeadraceError                     catch this to catch everything of ours
├── SchemaError                   at declaration: this type cannot travel, or would not come back
├── ArgumentError                 at submit: this value is not what the job type declares
│   └── ResultError               after an attempt: what the handler returned is not what it says
├── UndecodableError              on reading: these bytes are not one framed Avro record
│   └── InvalidHeadersError       … or its headers do not make it a job record
├── UnknownSchemaError            on reading: well framed, but nobody knows the schema it names
├── RegistryUnavailableError      the schema registry gave no answer; trying again may help
├── IncompatibleSchemaError       the declared schema breaks jobs or workers that already live
└── FingerprintCollisionError     two schemas that differ share one fingerprint
"""

from collections.abc import Sequence

_SHOWN_CHARACTERS = 80
_SHOWN_BYTES = 16


class HeadraceError(Exception):
    """The root: whatever Headrace raises on purpose is one of these."""


class SchemaError(HeadraceError):
    """A declared type has no Avro schema that brings its values back as they went in.

    Attributes:
        subject: what was being declared, usually a job type's name.
        parameter: the parameter (with a path such as ``size.width``), or None for the whole.
    """

    def __init__(self, subject: str, parameter: str | None, reason: str, remedy: str) -> None:
        self.subject = subject
        self.parameter = parameter
        self.reason = reason
        self.remedy = remedy
        super().__init__(subject, parameter, reason, remedy)

    def __str__(self) -> str:
        place = f" parameter `{self.parameter}`:" if self.parameter else ""
        return f"{self.subject}:{place} {self.reason}; {self.remedy}"


class ArgumentError(HeadraceError):
    """A value does not fit what the job type declares. Nothing was sent.

    Attributes:
        subject: the job type's name.
        field: the field (with a path such as ``sizes.2.width``), or None for the call as a whole.
    """

    def __init__(self, subject: str, field: str | None, reason: str) -> None:
        self.subject = subject
        self.field = field
        self.reason = reason
        super().__init__(subject, field, reason)

    def __str__(self) -> str:
        place = f" argument `{self.field}`:" if self.field else ""
        return f"{self.subject}:{place} {self.reason}"


class ResultError(ArgumentError):
    """What a handler returned does not fit its return annotation."""

    def __str__(self) -> str:
        inside = self.field.removeprefix("value").lstrip(".") if self.field else ""
        place = f" (at `{inside}`)" if inside else ""
        return f"{self.subject}: the return value{place}: {self.reason}"


class UndecodableError(HeadraceError):
    """The bytes are not one framed Avro record of the schema they name.

    Attributes:
        size: length of the payload in bytes.
        head: its first bytes, at most 16.
    """

    def __init__(self, reason: str, payload: bytes) -> None:
        self.reason = reason
        self.size = len(payload)
        self.head = bytes(payload[:_SHOWN_BYTES])
        super().__init__(reason, payload)

    def __str__(self) -> str:
        found = f"it begins with {self.head.hex(' ')}" if self.head else "it is empty"
        return f"{self.reason} (payload of {self.size} bytes, {found})"


class InvalidHeadersError(UndecodableError):
    """The headers of a record do not make it a job: one is missing or cannot be read."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, b"")

    def __str__(self) -> str:
        return self.reason


class UnknownSchemaError(HeadraceError):
    """The framing is fine, but nobody knows the schema that it names.

    Attributes:
        schema: the fingerprint in hex, or the registry's id.
    """

    def __init__(self, schema: str, remedy: str) -> None:
        self.schema = schema
        self.remedy = remedy
        super().__init__(schema, remedy)

    def __str__(self) -> str:
        return f"no schema is known for {self.schema}; {self.remedy}"


class RegistryUnavailableError(HeadraceError):
    """The schema registry gave no usable answer. The same call may succeed later.

    Attributes:
        url: the address that was asked, without user and password.
    """

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(url, reason)

    def __str__(self) -> str:
        return (
            f"the schema registry at {self.url} gave no usable answer: {self.reason}; "
            "check HEADRACE_SCHEMA_REGISTRY_URL and the registry, then try again"
        )


class IncompatibleSchemaError(HeadraceError):
    """A declared schema breaks jobs that are queued, or workers that still run.

    Attributes:
        subject: the job type's name.
        findings: one sentence each, naming field and reason.
    """

    def __init__(self, subject: str, findings: Sequence[str]) -> None:
        self.subject = subject
        self.findings = tuple(findings)
        super().__init__(subject, self.findings)

    def __str__(self) -> str:
        return f"{self.subject}: incompatible schema: " + "; ".join(self.findings)


class FingerprintCollisionError(HeadraceError):
    """Two schemas that differ share one fingerprint, so a reader could not tell them apart.

    The fingerprint is taken of Avro's parsing canonical form, which leaves out logical types,
    defaults and documentation: schemas that differ only there collide.
    """

    def __init__(self, subject: str, fingerprint: bytes, published: str, declared: str) -> None:
        self.subject = subject
        self.fingerprint = fingerprint
        self.published = published
        self.declared = declared
        super().__init__(subject, fingerprint, published, declared)

    def __str__(self) -> str:
        return (
            f"{self.subject}: fingerprint {self.fingerprint.hex()} is already published with another "
            f"text, and readers could not tell them apart; published: {self.published}; declared: "
            f"{self.declared}; give the changed parameter a new name"
        )


def shown(value: object) -> str:
    """A value for an error message: its repr, cut to 80 characters, whatever the repr does."""
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}… ({len(text)} characters)"
