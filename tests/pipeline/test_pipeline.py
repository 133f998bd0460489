"""The declaration: what a pipeline accepts, what it refuses and why, what a job type is."""

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from headrace.pipeline import (
    DeclarationError,
    Job,
    JobContext,
    Pipeline,
    Queue,
    Retry,
    UnknownJobTypeError,
)
from headrace.schemas.errors import ArgumentError, SchemaError

MODULE_LEVEL = Pipeline("pickled")


@MODULE_LEVEL.job("number.double")
def double(number: int) -> int:
    """Double a number."""
    return 2 * number


@dataclass(frozen=True)
class Mail:
    to: str
    subject: str = ""


class Order(BaseModel):
    item: str
    count: int = 1


announced = MODULE_LEVEL.declare("mail.announced", Mail)


@pytest.fixture
def shop() -> Pipeline:
    return Pipeline("shop", queues=[Queue("default"), Queue("media", ("urgent", "low"))])


# -- names, queues, priorities ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "Shop", "my shop", "shop.jobs", "1shop", "a--b", "a-", "é", "a_b"]
)
def test_a_pipeline_name_that_cannot_stand_in_a_topic_is_refused(name: str) -> None:
    with pytest.raises(DeclarationError, match="lower-case letters"):
        Pipeline(name)


def test_a_pipeline_without_queues_has_one_named_default() -> None:
    assert list(Pipeline("shop").queues) == ["default"]


def test_a_queue_named_twice_is_refused() -> None:
    with pytest.raises(DeclarationError, match="'shop' names a queue twice: mail, mail"):
        Pipeline("shop", queues=[Queue("mail"), Queue("mail")])


@pytest.mark.parametrize("name", ["", " ", "a b", " a", "a\n", "a\x00b"])
def test_a_job_type_name_with_spaces_or_control_characters_is_refused(
    shop: Pipeline, name: str
) -> None:
    with pytest.raises(DeclarationError, match="no spaces"):
        shop.job(name)


def test_a_job_type_declared_twice_is_refused_and_the_first_stays(shop: Pipeline) -> None:
    first = shop.job("a.b")(lambda: None)
    with pytest.raises(DeclarationError, match=r"'shop' already declares job type 'a\.b'"):
        shop.job("a.b")
    with pytest.raises(DeclarationError, match="already declares"):
        shop.declare("a.b", Mail)
    assert shop.job_type("a.b") is first


def test_one_decorator_used_twice_declares_once(shop: Pipeline) -> None:
    decorator = shop.job("a.b")
    decorator(lambda: None)
    with pytest.raises(DeclarationError, match="already declares"):
        decorator(lambda: None)


def test_an_unknown_queue_is_refused_with_the_known_ones(shop: Pipeline) -> None:
    with pytest.raises(DeclarationError, match=r"queue 'mail' is not declared.*default, media"):
        shop.job("a.b", queue="mail")


def test_an_unknown_priority_is_refused_with_those_of_the_queue(shop: Pipeline) -> None:
    with pytest.raises(DeclarationError, match=r"'media' has no priority 'high'.*urgent, low"):
        shop.job("a.b", queue="media", priority="high")


def test_a_job_type_goes_to_the_first_queue_and_its_default_priority(shop: Pipeline) -> None:
    policy = shop.job("a.b")(lambda: None).policy
    assert (policy.queue, policy.priority) == ("default", "normal")
    policy = shop.job("c.d", queue="media")(lambda: None).policy
    assert (policy.queue, policy.priority) == ("media", "low")


@pytest.mark.parametrize("timeout", [timedelta(), timedelta(seconds=-1), timedelta.max])
def test_a_timeout_must_be_positive_and_have_an_end(shop: Pipeline, timeout: timedelta) -> None:
    with pytest.raises(DeclarationError, match=r"'a\.b': timeout="):
        shop.job("a.b", timeout=timeout)


def test_a_negative_grace_is_refused(shop: Pipeline) -> None:
    with pytest.raises(DeclarationError, match="unknown_type_grace"):
        shop.job("a.b", unknown_type_grace=timedelta(seconds=-1))


def test_an_unknown_job_type_is_refused_with_the_known_ones(shop: Pipeline) -> None:
    shop.job("a.b")(lambda: None)
    with pytest.raises(UnknownJobTypeError, match=r"'shop' declares no job type 'a.c'.*: a\.b\)"):
        shop.job_type("a.c")


def test_the_declared_job_types_cannot_be_changed_from_outside(shop: Pipeline) -> None:
    with pytest.raises(TypeError):
        shop.job_types["a.b"] = double  # type: ignore[index]


@pytest.mark.parametrize("wrong", [{"middleware": [3]}, {"lifespan": 3}])
def test_middleware_and_lifespan_must_be_callable(wrong: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match="3 cannot be called"):
        Pipeline("shop", **wrong)


# -- handlers --------------------------------------------------------------------------------------


def generator(count: int) -> Iterator[int]:
    yield count


async def async_generator(count: int) -> AsyncIterator[int]:
    yield count


def context_second(count: int, context: JobContext) -> None: ...


def context_by_name(*, context: JobContext) -> None: ...


def many_contexts(*contexts: JobContext) -> None: ...


def optional_context(context: JobContext | None) -> None: ...


def unresolvable(count: "Missing") -> None: ...  # type: ignore[name-defined]  # noqa: F821


def not_a_type(count: "1 +") -> None: ...  # type: ignore[valid-type]  # noqa: F722


class Callable_:
    def __call__(self, count: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (generator, "is a generator"),
        (async_generator, "is a generator"),
        (context_second, "must be the first parameter"),
        (context_by_name, "must be the first parameter"),
        (many_contexts, "must be the first parameter"),
        (optional_context, "annotate `context` as JobContext alone"),
        (unresolvable, "cannot be resolved: name 'Missing' is not defined"),
        (not_a_type, "is no type"),
        (Callable_(), "a handler is a function, got Callable_"),
        (Callable_, "a handler is a function, got type"),
        (partial(generator, 1), "a handler is a function, got partial"),
        (42, "a handler is a function, got int"),
    ],
)
def test_what_cannot_be_a_handler_is_refused(
    shop: Pipeline, function: Callable[..., Any], why: str
) -> None:
    with pytest.raises(DeclarationError, match=rf"job type 'a.b': .*{why}"):
        shop.job("a.b")(function)
    assert not shop.job_types


def unannotated(count) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001


def takes_anything(count: Any) -> None: ...


def takes_object(count: object) -> None: ...


def takes_more(*count: int) -> None: ...


def takes_names(**count: int) -> None: ...


@pytest.mark.parametrize(
    "function",
    [unannotated, takes_anything, takes_object, takes_more, takes_names],
)
def test_a_parameter_that_cannot_travel_is_refused_by_name(
    shop: Pipeline, function: Callable[..., Any]
) -> None:
    with pytest.raises(SchemaError, match="`count`"):
        shop.job("a.b")(function)


def test_a_result_that_cannot_travel_is_refused(shop: Pipeline) -> None:
    def handler() -> object: ...

    with pytest.raises(SchemaError, match=r"a\.b"):
        shop.job("a.b")(handler)


# -- job types -------------------------------------------------------------------------------------


def test_calling_a_job_type_runs_the_function_itself() -> None:
    assert double(21) == 42
    assert double.__doc__ == "Double a number."
    assert double.__name__ == "double"


def test_calling_an_async_job_type_gives_its_coroutine(shop: Pipeline) -> None:
    @shop.job("a.b")
    async def handler(number: int) -> int:
        return 2 * number

    assert handler.is_async
    assert asyncio.run(handler(21)) == 42


def test_making_a_job_checks_the_arguments_and_fills_in_defaults(shop: Pipeline) -> None:
    @shop.job("a.b", priority="high", retry=Retry(max_attempts=7))
    def handler(context: JobContext, to: str, count: int = 3) -> None: ...

    job = handler.job("x")
    assert (job.job_type, dict(job.arguments)) == ("a.b", {"to": "x", "count": 3})
    assert job.policy.retry == Retry(max_attempts=7)
    with pytest.raises(ArgumentError, match="`to`: is missing"):
        handler.job()  # type: ignore[call-arg]
    with pytest.raises(ArgumentError, match="`count`"):
        handler.job("x", count="3")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="`more`: is unknown"):
        handler.job("x", more=1)  # type: ignore[call-arg]


def test_what_is_changed_in_a_jobs_arguments_is_what_is_sent(shop: Pipeline) -> None:
    @shop.job("a.b")
    def handler(to: str, count: int = 3) -> None: ...

    job = handler.job("x")
    assert job == handler.job(to="x", count=3)
    job.arguments["count"] = 4
    assert job != handler.job("x")
    assert job == handler.job("x", 4)
    assert job.encoded() == handler.job("x", 4).encoded()


def test_a_default_that_can_change_is_not_shared_between_jobs(shop: Pipeline) -> None:
    @shop.job("a.b")
    def handler(items: list[int] = []) -> None: ...  # noqa: B006

    first: Job[None] = handler.job()
    first.arguments["items"].append(1)
    assert handler.job().arguments["items"] == []


def test_a_job_type_pickles_as_the_name_of_its_function() -> None:
    pickled = pickle.dumps(double)
    assert pickle.loads(pickled) is double
    assert len(pickled) < 100


def test_a_job_type_declared_without_a_handler_says_that_it_cannot_be_pickled() -> None:
    with pytest.raises(TypeError, match=r"mail\.announced.*job_type\(name\)"):
        pickle.dumps(announced)


# -- declared without a handler --------------------------------------------------------------------


def test_a_type_declared_without_a_handler_makes_jobs_but_cannot_be_called(shop: Pipeline) -> None:
    post = shop.declare("mail.post", Mail, queue="media")
    assert dict(post.job(to="x").arguments) == {"to": "x", "subject": ""}
    with pytest.raises(DeclarationError, match=r"'mail.post' was declared without a handler"):
        post("x")


def test_a_handler_with_the_same_parameters_can_be_attached(shop: Pipeline) -> None:
    post = shop.declare("mail.post", Mail)
    before = (post.is_async, post.takes_context)
    assert before == (False, False)

    @post.handler
    async def handler(context: JobContext, to: str, subject: str = "") -> str:
        return to

    assert post.is_async
    assert post.takes_context
    assert post.result is not None
    assert post.job(to="x").arguments["to"] == "x"


def test_a_handler_may_be_attached_to_a_pydantic_model_without_wanting_the_context(
    shop: Pipeline,
) -> None:
    order = shop.declare("order.place", Order)

    @order.handler
    def handler(item: str, count: int = 1) -> None: ...

    assert not order.takes_context
    assert dict(order.job(item="tea").arguments) == {"item": "tea", "count": 1}


def other_name(recipient: str, subject: str = "") -> None: ...


def other_type(to: bytes, subject: str = "") -> None: ...


def one_less(to: str) -> None: ...


def one_more(to: str, subject: str = "", body: str = "") -> None: ...


def other_default(to: str, subject: str = "none") -> None: ...


def no_default(to: str, subject: str) -> None: ...


@pytest.mark.parametrize(
    "function", [other_name, other_type, one_less, one_more, other_default, no_default]
)
def test_a_handler_that_takes_something_else_than_declared_is_refused(
    shop: Pipeline, function: Callable[..., Any]
) -> None:
    post = shop.declare("mail.post", Mail)
    with pytest.raises(DeclarationError, match=rf"{function.__name__} .*'mail.post' does not take"):
        post.handler(function)
    assert post.function is None


def test_a_second_handler_is_refused(shop: Pipeline) -> None:
    post = shop.declare("mail.post", Mail)

    def handler(to: str, subject: str = "") -> None: ...

    post.handler(handler)
    with pytest.raises(DeclarationError, match="already has a handler"):
        post.handler(handler)


@pytest.mark.parametrize("wrong", [Mail("x"), "Mail", None])
def test_declare_takes_a_class_and_nothing_else(shop: Pipeline, wrong: Any) -> None:
    with pytest.raises(DeclarationError, match="a dataclass or a pydantic model, got"):
        shop.declare("mail.post", wrong)


def test_declare_refuses_a_class_without_declared_fields(shop: Pipeline) -> None:
    with pytest.raises(SchemaError, match=r"mail\.post"):
        shop.declare("mail.post", Callable_)
