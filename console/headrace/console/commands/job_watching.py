"""`headrace jobs show --watch`: a job as it goes on, with what it tells of its progress."""

import sys
from typing import TYPE_CHECKING, Final

from headrace.console.commands import views
from headrace.schemas.states import JobState

if TYPE_CHECKING:
    from headrace.pipeline.pipeline import Pipeline
    from headrace.processors.job_view import JobView
    from headrace.schemas.transitions import Transition

INTERRUPTED: Final = 130
_WIDTH: Final = 30
_LINE: Final = "\r\x1b[K"
_WAIT: Final = 0.25
"""Seconds between two looks at the topic when nothing comes."""


def bar(fraction: float, text: str | None) -> str:
    """Draw a share: `███████░░░ 70 %  page 7 of 10`."""
    full = int(fraction * _WIDTH)
    drawn = "█" * full + "░" * (_WIDTH - full)
    return f"{drawn} {fraction:.0%}  {views.one_line(text, 80)}".rstrip()


def bar_of(last: "Transition | None") -> str | None:
    """Draw how far a running job is; None when it does not tell, or does not run."""
    if last is None or last.state != JobState.RUNNING or last.progress is None:
        return None
    return bar(last.progress, last.progress_text)


def watch(pipeline: "Pipeline", view: "JobView", *, json: bool) -> int:
    """Tell what becomes of a job until it is over.

    Args:
        pipeline: The declaration.
        view: What was found of the job; it has been shown.
        json: Whether to print a JSON document in a line for each transition.

    Returns:
        The exit code: 0 when it succeeded, 1 when it ended otherwise, 130 when it was interrupted.
    """
    screen = _Screen(json=json)
    last = view.transitions[-1] if view.transitions else None
    try:
        if last is None or not _is_over(last):
            last = _follow(pipeline, view, screen)
            _tell_result(pipeline, last, json=json)
    except KeyboardInterrupt:
        screen.clear()
        return INTERRUPTED
    return 0 if last.state == JobState.SUCCEEDED else 1


def _follow(pipeline: "Pipeline", view: "JobView", screen: "_Screen") -> "Transition":
    from headrace.processors.job_watch import JobWatch

    known = set(map(_key, view.transitions))
    last = view.transitions[-1] if view.transitions else None
    since = view.summary.updated if last is None else last.time
    with JobWatch(pipeline, views.kafka(), view.summary.job_id, since) as job:
        if last is not None and last.progress is not None:
            screen.show(last)
        while last is None or not _is_over(last):
            for each in job.news(_WAIT):
                if _key(each) in known or each.state == JobState.DUPLICATE:
                    continue
                screen.show(each)
                if last is None or each.order > last.order:
                    last = each
    return last


def _key(each: "Transition") -> tuple[object, ...]:
    """What tells a transition from others, also where the store has told it."""
    return (*each.order, each.worker, each.lane, each.partition, each.offset)


def _is_over(last: "Transition") -> bool:
    return last.state in tuple(JobState) and JobState(last.state).is_final


def _tell_result(pipeline: "Pipeline", last: "Transition", *, json: bool) -> None:
    from headrace.processors.payloads import PayloadReader

    if not json and (last.result is not None or last.result_claim is not None):
        payloads = PayloadReader(pipeline, views.kafka())
        found = payloads.result(last.job_type, last.result, last.result_claim)
        views.print_payload("result", found, "")


class _Screen:
    """Shows transitions: a JSON line, a line, or on a terminal a bar that moves."""

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self._moves = sys.stderr.isatty() and not json
        self._drawn = False

    def show(self, each: "Transition") -> None:
        """Show one."""
        if self._json:
            from json import dumps

            from headrace.processors.job_view import transition_json

            print(dumps(transition_json(each), ensure_ascii=False), flush=True)
            return
        drawn = bar_of(each)
        if drawn is not None and self._moves:
            print(f"{_LINE}{drawn}", end="", file=sys.stderr, flush=True)
            self._drawn = True
        else:
            self.clear()
            print(_told(each), flush=True)

    def clear(self) -> None:
        """Take the bar away."""
        if self._drawn:
            print(_LINE, end="", file=sys.stderr, flush=True)
        self._drawn = False


def _told(each: "Transition") -> str:
    from headrace.schemas.headers import format_time

    error = views.error_line(each.error_type, each.error_message)
    parts = [each.reason or "", bar_of(each) or "", error]
    detail = "; ".join(part for part in parts if part)
    return (
        f"{format_time(each.time)[11:-1]}  {each.state}, attempt {each.attempt}  {detail}".rstrip()
    )
