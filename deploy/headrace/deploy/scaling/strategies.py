"""The strategies that there are, and finding one by its name."""

import importlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Final

from headrace.deploy.errors import StrategyError
from headrace.deploy.scaling.rules import Rules, percent, pods
from headrace.deploy.scaling.strategy import Strategy

GROUP: Final = "headrace.strategies"
"""The entry points by which an installed package offers strategies."""


def _seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


# Each step down moves partitions, so all go down slowly. Of 64 wanted pods, 63 are not enough.
_DEFAULT: Final = Strategy(
    "default",
    up=Rules(_seconds(60), (percent(100, _seconds(60)), pods(4, _seconds(60))), tolerance=0.0),
    down=Rules(_seconds(600), (pods(1, _seconds(120)),)),
)
_AGGRESSIVE: Final = Strategy(
    "aggressive",
    up=Rules(_seconds(0), (percent(100, _seconds(15)), pods(4, _seconds(15))), tolerance=0.0),
    down=Rules(_seconds(120), (pods(2, _seconds(60)),)),
    cooldown=_seconds(120),
    polling=_seconds(5),
    wait_factor=0.5,
)
_CONSERVATIVE: Final = Strategy(
    "conservative",
    up=Rules(_seconds(180), (pods(1, _seconds(60)),), tolerance=0.0),
    down=Rules(_seconds(900), (pods(1, _seconds(300)),)),
    cooldown=_seconds(600),
    polling=_seconds(30),
    wait_factor=2.0,
)
_PREDICTIVE: Final = replace(
    _DEFAULT,
    name="predictive",
    # What is forecast has been looked at for minutes already: no window on top
    up=Rules(_seconds(0), (percent(100, _seconds(30)), pods(4, _seconds(30))), tolerance=0.0),
    forecast=True,
)
STRATEGIES: Final[Mapping[str, Strategy]] = MappingProxyType(
    {each.name: each for each in (_DEFAULT, _AGGRESSIVE, _CONSERVATIVE, _PREDICTIVE)}
)
LOCAL: Final = Strategy(
    "local",
    up=Rules(_seconds(0), (percent(100, _seconds(1)), pods(4, _seconds(1))), tolerance=0.0),
    down=Rules(_seconds(30), (pods(1, _seconds(5)),)),
    cooldown=_seconds(30),
    polling=_seconds(1),
)
"""For processes on one machine, which start in a second or two. In a cluster it would move partitions
all the time."""


def find_strategy(name: str) -> Strategy:
    """Give a strategy: one of the table, an installed package's, or `module:attribute`.

    Raises:
        StrategyError: There is none, or what is there is no `Strategy`.
    """
    if name in STRATEGIES:
        return STRATEGIES[name]
    found = _imported(name) if ":" in name else _installed(name)
    if not isinstance(found, Strategy):
        raise StrategyError(
            f"strategy {name!r} is a {type(found).__name__}, not a "
            "headrace.deploy.scaling.strategy.Strategy"
        )
    return found


def _installed(name: str) -> object:
    offered = entry_points(group=GROUP)
    if name not in offered.names:
        known = ", ".join([*STRATEGIES, *sorted(offered.names)])
        raise StrategyError(
            f"there is no strategy {name!r}: write one of {known}, or module:attribute for one of "
            "your own, such as shop.scaling:mine"
        )
    try:
        found: object = offered[name].load()
    except Exception as error:
        raise _not_imported(name, error) from error
    return found


def _imported(name: str) -> object:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise _not_imported(name, error) from error


def _not_imported(name: str, error: Exception) -> StrategyError:
    return StrategyError(
        f"strategy {name!r} cannot be imported: {type(error).__name__}: {error}; write "
        "module:attribute of a module that stands beside the pipeline's"
    )
