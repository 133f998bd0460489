"""What streams of a pipeline's topics give, and the codecs that read it."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from faust.serializers.codecs import Codec

from headrace.pipeline.known_schemas import KnownSchemas
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topology import Topology
from headrace.pipeline.transition_batches import BatchDecoder
from headrace.schemas import framing
from headrace.schemas.errors import HeadraceError
from headrace.schemas.transitions import Transition

_LOG = logging.getLogger("headrace.streams")
_MOST_TOLD: Final = 100
"""Problems that are logged, each once."""


@dataclass(frozen=True, slots=True)
class TransitionBatch:
    """One record of the events topic: transitions of one lane, as one worker told them.

    Attributes:
        transitions: Them; none when the record cannot be read.
        problem: Why it cannot be read; empty when it can.
    """

    transitions: tuple[Transition, ...]
    problem: str = ""

    def __iter__(self) -> Iterator[Transition]:
        return iter(self.transitions)


@dataclass(frozen=True, slots=True)
class JobArguments:
    """The value of one record of a lane; `headrace.processors.job_of` tells whose it is.

    Attributes:
        arguments: By parameter; empty when they cannot be read.
        problem: Why they cannot be read; empty when they can.
    """

    arguments: Mapping[str, Any]
    problem: str = ""


class TransitionCodec(Codec):
    """Reads batches of transitions. It never raises: one bad record must not stop a stream."""

    def __init__(self, kafka: KafkaSettings, topology: Topology) -> None:
        super().__init__()
        self._decoder = BatchDecoder(kafka, topology, self._note_state)
        self._told: set[str] = set()

    def _loads(self, s: bytes) -> TransitionBatch:
        try:
            return TransitionBatch(tuple(self._decoder.decode(s)))
        except HeadraceError as error:
            return TransitionBatch((), self._tell(str(error)))

    def _note_state(self, state: str) -> None:
        self._tell(f"the state {state!r} is of a newer Headrace: upgrade this process")

    def _tell(self, problem: str) -> str:
        if problem not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(problem)
            _LOG.warning("what the events topic tells is left out, and all like it: %s", problem)
        return problem


class ArgumentsCodec(Codec):
    """Reads the arguments of jobs. It never raises.

    They are as handlers get them when the type is declared here in the version that wrote them,
    else as the writer's schema has them.
    """

    def __init__(self, pipeline: Pipeline, schemas: KnownSchemas) -> None:
        super().__init__()
        codecs = (job_type.arguments for job_type in pipeline.job_types.values())
        self._declared = {codec.fingerprint: codec for codec in codecs}
        self._schemas = schemas

    def _loads(self, s: bytes) -> JobArguments:
        try:
            return JobArguments(self._read(s))
        except HeadraceError as error:
            return JobArguments({}, str(error))

    def _read(self, payload: bytes) -> Mapping[str, Any]:
        framed = framing.split(payload)
        if framed.fingerprint in self._declared:
            return self._declared[framed.fingerprint].decode(payload, self._schemas)
        if framed.fingerprint is not None:
            schema = self._schemas.by_fingerprint(framed.fingerprint)
        else:
            schema = self._schemas.by_registry_id(framed.registry_id or 0)
        found = schema.read(payload, framed.offset)
        return found if isinstance(found, dict) else {"value": found}
