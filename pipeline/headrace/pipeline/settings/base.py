"""How settings are read, and how a wrong one is explained."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, TypeVar

from pydantic import BeforeValidator, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from headrace.pipeline.errors import SettingsError

PREFIX: Final = "HEADRACE_"

OTHER_VARIABLES: Final[Mapping[str, str]] = {
    "HEADRACE_PIPELINE": "The pipeline as `module:attribute`, for commands that are not given one.",
    "HEADRACE_CACHE_DIR": "Where the embedded broker's files are kept once downloaded; "
    "`~/.cache/headrace` when empty.",
    "HEADRACE_TEST_BOOTSTRAP": "The broker that the project's own tests use, `host:port`.",
}
"""Variables that are not fields of a settings class, with their meaning."""


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A tuple that the environment writes as `a,b,c`."""


class Settings(BaseSettings):
    """Base of all settings classes: prefix, immutability, no unknown arguments.

    An empty variable counts as one that is not set, as compose files and charts write it.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    RULES: ClassVar[tuple[str, ...]] = ()
    """What holds across fields, for the reference page; the validators enforce it."""


_S = TypeVar("_S", bound=Settings)


def variable(field: str) -> str:
    """Give the environment variable of a field."""
    return f"{PREFIX}{field.upper()}"


def load(kind: type[_S], **overrides: Any) -> _S:
    """Read one class of settings from the environment; overrides win over it.

    Args:
        kind: Which settings.
        overrides: Values by field name; None leaves the field to the environment.

    Raises:
        SettingsError: Values are wrong: a line for each, with the variable, its value and what it
            should be. The values of secrets are not shown.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return kind(**given)
    except ValidationError as error:
        problems = [_explain(kind, problem) for problem in error.errors()]
    # Raised out here so that the error, whose input holds secrets, is not its context.
    raise SettingsError("\n".join(problems))


def _explain(kind: type[Settings], problem: Mapping[str, Any]) -> str:
    reason = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return reason
    name = str(problem["loc"][0])
    if name not in kind.model_fields:
        return f"{kind.__name__} has no setting {name!r}; see docs/reference/settings.md"
    shown = "(hidden)" if is_secret(kind, name) else _shown(problem["input"])
    return f"{variable(name)}={shown}: {reason}; see docs/reference/settings.md"


def is_secret(kind: type[Settings], field: str) -> bool:
    """Whether a field's value must not be shown."""
    return "SecretStr" in str(kind.model_fields[field].annotation)


def _shown(value: object) -> str:
    text = str(value)
    return text if text.isprintable() else repr(text)
