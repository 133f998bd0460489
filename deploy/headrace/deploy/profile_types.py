"""What values of a profile may look like."""

from typing import Annotated, Final

from pydantic import ConfigDict, Field

STRICT: Final = ConfigDict(extra="forbid", hide_input_in_errors=True)
DNS_LABEL: Final = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Cores = Annotated[float, Field(gt=0)]
KubernetesName = Annotated[str, Field(pattern=DNS_LABEL, max_length=63)]
