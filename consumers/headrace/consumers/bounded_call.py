"""Calls of the Kafka client that do not keep their time limit, kept to one from outside."""

import threading
from collections.abc import Callable


class CallHungError(TimeoutError):
    """The call has not come back. It still runs, on a thread that nobody waits for."""


def within(seconds: float, name: str, call: Callable[[], object]) -> None:
    """Make a call on a thread of its own and wait for it.

    Args:
        seconds: How long to wait.
        name: Of the thread.
        call: Whatever it holds stays alive until it comes back, if ever.

    Raises:
        CallHungError: It did not come back in time.
        Exception: What the call raised.
    """
    raised: list[Exception] = []

    def run() -> None:
        try:
            call()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise CallHungError(f"{name}: no answer within {seconds:g} s")
    if raised:
        raise raised[0]
