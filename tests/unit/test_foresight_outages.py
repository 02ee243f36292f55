"""What fails is told once, left in peace for longer and longer, and told again when it is well."""

import logging

import pytest

from carbonq.domain.errors import SourceRefused, SourceUnreachable
from carbonq.forecasters.carbon.foresight.outages import ALIKE, Outages

DOWN = SourceUnreachable("the provider answers 503", hint="try again later")


class Timer:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def timer() -> Timer:
    return Timer()


def test_each_failure_doubles_the_rest_up_to_an_hour(timer: Timer) -> None:
    outages, rests = Outages(timer), []
    for _ in range(6):
        outages.failed("uk", DOWN)
        began_s = timer.now_s
        while outages.rests("uk"):
            timer.now_s += 60
        rests.append(timer.now_s - began_s)
    assert rests == [300, 600, 1200, 2400, 3600, 3600]


def test_an_outage_is_told_when_it_begins_and_when_it_is_over(timer: Timer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "carbonq.carbon")
    outages = Outages(timer)
    for _ in range(3):
        outages.failed("uk", DOWN)
        timer.now_s += 3600
    outages.answered("uk")
    outages.answered("uk")
    assert [record.message for record in caplog.records] == [
        "uk: the provider answers 503 (try again later); it is tried again until it goes well",
        "uk: well again after 3h",
    ]


def test_after_an_answer_the_next_outage_begins_small(timer: Timer) -> None:
    outages = Outages(timer)
    outages.failed("uk", DOWN)
    outages.failed("uk", DOWN)
    outages.answered("uk")
    outages.failed("uk", DOWN)
    timer.now_s += 301
    assert not outages.rests("uk")


def test_one_source_does_not_rest_for_another(timer: Timer) -> None:
    outages = Outages(timer)
    outages.failed("uk", DOWN)
    assert not outages.rests("rte")


def test_a_bug_leaves_its_trace(timer: Timer, caplog: pytest.LogCaptureFixture) -> None:
    Outages(timer).failed("uk", KeyError("x"))
    assert caplog.records[0].exc_info is not None


def test_a_provider_that_asks_for_peace_gets_it_but_not_for_years(timer: Timer) -> None:
    outages, rests = Outages(timer), []
    for asked_s in (5.0, 7200.0, 1e9):
        outages.failed("uk", SourceRefused("no", status=429, retry_after_s=asked_s))
        began_s = timer.now_s
        while outages.rests("uk"):
            timer.now_s += 60
        rests.append(timer.now_s - began_s)
        outages.answered("uk")
    assert rests == [300, 7200, 86_400]


def test_where_all_zones_fail_alike_the_source_rests_and_few_lines_tell_it(
    timer: Timer, caplog: pytest.LogCaptureFixture
) -> None:
    outages = Outages(timer)
    for zone in range(200):
        if not outages.rests("uk"):
            outages.part_failed("uk", f"uk for {zone}", DOWN)
    assert outages.rests("uk")
    assert len(caplog.records) == ALIKE

    timer.now_s += 301
    outages.part_failed("uk", "uk for 100", DOWN)
    assert (outages.rests("uk"), outages.rests("uk for 100"), len(caplog.records)) == (True, False, ALIKE)


def test_a_zone_that_fails_alone_does_not_cost_the_others_their_source(timer: Timer) -> None:
    outages = Outages(timer)
    for _ in range(2 * ALIKE):
        outages.part_failed("uk", "uk for 1", DOWN)
        outages.part_failed("uk", "uk for 2", DOWN)
        outages.answered("uk")
    assert (outages.rests("uk"), outages.rests("uk for 1")) == (False, True)
