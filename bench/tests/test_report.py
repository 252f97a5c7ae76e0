import json

from bench.measurement import Goal
from bench.report import record, table
from bench.runner import Outcome
from bench.tests.outcomes import case, outcome


def test_the_table_has_medians_spread_ratio_and_verdict() -> None:
    shown = table([outcome([900, 950, 910], [1000, 1000, 1000], goal=Goal(0.9))])
    assert "| the case <trivial> | packets/s " in shown
    assert "910 (900 … 950)" in shown
    assert "0.91 (0.90 … 0.95)" in shown
    assert "≥ 0.9" in shown
    assert "reached" in shown
    assert len({len(line) for line in shown.splitlines()}) == 1


def test_a_missed_goal_is_called_so() -> None:
    assert "missed" in table([outcome([800], [1000], goal=Goal(0.9))])
    assert "missed" in table([outcome([1400], [1000], goal=Goal(1.3, is_minimum=False))])
    assert "reached" in table([outcome([1400], [1000], goal=Goal(1000, of="value"))])


def test_either_of_two_goals_is_enough() -> None:
    goal = Goal(1000, of="value", alternative=Goal(3))
    assert "≥ 1,000, or ≥ 3 times" in table([outcome([900], [100], goal=goal)])
    assert "reached" in table([outcome([900], [300], goal=goal)])
    assert "reached" in table([outcome([1000], [1000], goal=goal)])
    assert "missed" in table([outcome([999], [400], goal=goal)])


def test_what_was_not_measured_says_why() -> None:
    outcomes = [Outcome(case(), fault="LoadError: answered no\nand more"), Outcome(case("other", skipped="no topics"))]
    outcomes[1].fault = outcomes[1].case.skipped
    shown = table(outcomes)
    assert "LoadError: answered no" in shown
    assert "and more" not in shown
    assert "no topics" in shown


def test_the_record_has_every_round_and_is_json() -> None:
    outcomes = [outcome([900, 950], [1000, 1000], goal=Goal(0.9)), Outcome(case("failed"), fault="it failed")]
    written = json.loads(json.dumps(record(outcomes, rounds=2, seconds=1.0, is_pinned=False)))
    measured = written["cases"]["trivial"]["metrics"]
    assert measured["rate"]["ours"] == [900, 950]
    assert measured["rate"]["ratio"] == 0.925
    assert measured["rate"]["reached"] is True
    assert measured["busy"]["theirs"] == [98.0, 98.0]
    assert measured["busy"]["ratio"] is None
    assert written["cases"]["failed"]["fault"] == "it failed"
    assert written["machine"]["packages"]["granian"]
