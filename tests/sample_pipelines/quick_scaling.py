"""A strategy for tests: down within seconds."""

from dataclasses import replace
from datetime import timedelta

from headrace.deploy.scaling.rules import Rules, pods
from headrace.deploy.scaling.strategies import LOCAL

_SECOND = timedelta(seconds=1)
quick = replace(LOCAL, name="quick", down=Rules(2 * _SECOND, (pods(1, _SECOND),)))
