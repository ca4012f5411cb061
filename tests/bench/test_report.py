"""A run of the benchmark says plainly which goals are met."""

import pytest

from bench.load import Figures
from bench.report import report

pytestmark = pytest.mark.once


def runs(*rates_and_p99s):
    return [Figures(rate, 1.0, p99, 250.0) for rate, p99 in rates_and_p99s]


def told(product, p99, bare_p99=2.0):
    full = {"bare": runs((1000, 9), (900, 9)), "product": runs((product, 9), (product / 2, 9))}
    calm = {"bare": runs((500, bare_p99)), "product": runs((300, p99))}
    lines, met = report(full, calm, goal=0.5, others=0.25)
    return "\n".join(lines), met


def test_met_goals_are_told_with_the_share_and_the_yardsticks_own_latency():
    text, met = told(product=600, p99=4.0)
    assert met
    assert "met     share of the yardstick's requests a second: 60.0%, goal 50%" in text
    assert "met     p99 at 2 connections: 4.0 ms (yardstick 2.0 ms), goal 10 ms" in text
    assert "round by round: 60%, 33%" in text
    assert "took 25% of the machine" in text
    assert "MISSED" not in text


@pytest.mark.parametrize(
    ("product", "p99", "missed"),
    [(499, 4.0, "a second: 49.9%"), (600, 10.0, "p99 at 2 connections: 10.0 ms")],
)
def test_a_missed_goal_is_called_missed(product, p99, missed):
    text, met = told(product, p99)
    assert not met
    assert missed in next(line for line in text.splitlines() if line.startswith("MISSED"))
    assert "busy" not in text


def test_a_late_yardstick_tells_that_the_machine_is_busy():
    text, met = told(product=600, p99=30.0, bare_p99=14.0)
    assert not met
    assert "the machine is busy" in text
