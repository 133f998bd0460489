"""Garbage: what holds many objects is not stopped again and again to look at all of them."""

import json
import subprocess
import sys

LOOKS = """
import gc, json
from headrace.console.process.garbage import look_seldom
look_seldom()
looks = []
gc.callbacks.append(lambda phase, info: looks.append(info["generation"]) if phase == "start" else None)
held = [[number] for number in range(100_000)]
class Knot: pass
for _ in range(60_000):
    knot = Knot()
    knot.itself = knot
print(json.dumps({"looks": len(looks), "oldest": looks.count(2), "knots": sum(isinstance(each, Knot) for each in gc.get_objects())}))
"""


def test_many_objects_cost_few_looks_and_what_holds_itself_is_cleared_away_still() -> None:
    done = subprocess.run([sys.executable, "-c", LOOKS], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert found["oldest"] == 0
    assert 1 <= found["looks"] <= 5
    assert found["knots"] < 60_000
