"""How predictions of runs are scored, and the rivals that are scored beside carbonq's own model."""

import math
import random
from collections.abc import Iterator
from itertools import count

import pytest

from carbonq.forecasters.energy.rivals import (
    UNKNOWN_DURATION_S,
    Answer,
    FamilyMean,
    Neighbours,
    RatedPower,
    WithNoise,
    rivals,
)
from carbonq.forecasters.energy.runs import RunRecord
from carbonq.forecasters.energy.scoring import Trial, prequential, quantile, split


def run(energy_j: float | None = 100.0, duration_s: float | None = 10.0, **fields: object) -> RunRecord:
    known: dict[str, object] = {
        "family": "a",
        "gpu_model": "A100",
        "gpus": 1,
        "work": 1.0,
        "power_limit_w": None,
        "batch_size": None,
        "numbers": {},
        "labels": {},
    }
    return RunRecord(**(known | fields), energy_j=energy_j, duration_s=duration_s)  # type: ignore[arg-type]  # by name


def made_up(number: int) -> list[RunRecord]:
    """Two families whose energy grows with the work."""
    draw = random.Random(3)

    def one(index: int) -> RunRecord:
        family, work = "ab"[index % 2], draw.uniform(1, 20)
        seconds = work * (10 if family == "a" else 35) * draw.lognormvariate(0, 0.05)
        return run(seconds * 250, seconds, family=family, work=work)

    return [one(index) for index in range(number)]


def timer() -> Iterator[float]:
    return map(float, count())


def test_errors_are_of_the_actual_value_and_intervals_of_the_prediction() -> None:
    answers = [Answer(110, 90, 130), Answer(50, 40, 60), Answer(300, 100, 500)]
    score = Trial("x", answers, 2.0).score([100, 100, 200])
    assert score.median_ape_pct == pytest.approx(50)
    assert score.mean_ape_pct == pytest.approx((10 + 50 + 50) / 3)
    assert score.p90_ape_pct == pytest.approx(50)
    assert score.coverage_90 == pytest.approx(2 / 3)
    assert score.interval_half_width_pct == pytest.approx(20)
    assert (score.model, score.fit_s) == ("x", 2.0)


def test_a_run_whose_value_is_unknown_is_not_scored() -> None:
    score = Trial("x", [Answer(110, 90, 130), Answer(1, 1, 1)]).score([100, None])
    assert score.median_ape_pct == pytest.approx(10)
    assert Trial("x", [Answer(1, 1, 1)]).score([None]).median_ape_pct is None


@pytest.mark.parametrize(("share", "value"), [(0, 1), (0.5, 2.5), (0.9, 3.7), (1, 4)])
def test_quantiles_lie_between_neighbours(share: float, value: float) -> None:
    assert quantile([1, 2, 3, 4], share) == pytest.approx(value)


def test_rated_power_is_the_limit_times_the_usual_time() -> None:
    rival = RatedPower()
    rival.fit([run(None, 20, work=2.0), run(None, 10), run(None, 90)], "energy_j")
    asked = [run(work=3.0), run(work=3.0, power_limit_w=200.0, gpus=2)]
    assert rival.predict(asked) == [3 * 10 * 400, 3 * 10 * 400]


def test_without_any_past_rated_power_takes_an_hour() -> None:
    rival = RatedPower()
    rival.fit([], "energy_j")
    assert rival.predict([run()]) == [UNKNOWN_DURATION_S * 400]


def test_a_familys_mean_is_taken_on_that_gpu_then_on_any_then_of_all() -> None:
    rival = FamilyMean()
    rival.fit([run(100.0), run(400.0, gpu_model="T4"), run(1600.0, family="b", work=4.0)], "energy_j")
    on_it, on_any, new = rival.predict([run(work=2.0), run(gpu_model="H100"), run(family="c")])
    assert on_it == pytest.approx(200)
    assert on_any == pytest.approx(200)
    assert new == pytest.approx((100 * 400 * 400) ** (1 / 3))


def test_the_nearest_runs_count() -> None:
    rival = Neighbours()
    past = [run(10.0 * size, batch_size=float(size)) for size in range(1, 40)] + [run(1e6, family="b", batch_size=20.0)]
    rival.fit(past, "energy_j")
    (value,) = rival.predict([run(batch_size=20.0)])
    assert value == pytest.approx(200, rel=0.01)


@pytest.mark.parametrize("rival", rivals(), ids=lambda rival: rival.name)
def test_every_rival_answers_from_nothing_from_one_run_and_from_many(rival: WithNoise) -> None:
    for number in (0, 1, 2, 60):
        rival.fit(made_up(number), "duration_s")
        answers = rival.predict([run(), run(family="new", gpu_model="", gpus=0, work=None)])
        assert all(0 < one.p05 <= one.predicted <= one.p95 < math.inf for one in answers)


@pytest.mark.parametrize("rival", rivals(), ids=lambda rival: rival.name)
def test_a_rivals_noise_is_that_of_runs_left_out(rival: WithNoise) -> None:
    """Nine of ten fall into its interval, give or take what sixty runs can tell."""
    rival.fit(made_up(200), "energy_j")
    trial = Trial(rival.name, rival.predict(fresh := made_up(260)[200:]))
    covered = trial.score([one.energy_j for one in fresh]).coverage_90
    assert covered is not None
    assert 0.75 <= covered <= 1


def test_carbonq_comes_first_and_learns_a_plain_law(timer_s: Iterator[float]) -> None:
    runs = made_up(120)
    trials = split(runs[:100], runs[100:], "energy_j", timer=lambda: next(timer_s))
    scores = [trial.score([one.energy_j for one in runs[100:]]) for trial in trials]
    assert [score.model for score in scores[:4]] == ["carbonq", "tdp", "family-mean", "knn5"]
    assert scores[0].median_ape_pct is not None
    assert scores[0].median_ape_pct < 10
    assert scores[0].fit_s == 1.0


def test_what_a_test_run_took_is_not_looked_at(timer_s: Iterator[float]) -> None:
    runs = made_up(40)
    hidden = [one._replace(energy_j=None, duration_s=None) for one in runs[30:]]
    told, untold = (
        [trial.answers for trial in split(runs[:30], test, "energy_j", timer=lambda: next(timer_s))]
        for test in (runs[30:], hidden)
    )
    assert told == untold


def test_one_by_one_a_run_is_foretold_from_those_before_it_alone(timer_s: Iterator[float]) -> None:
    runs = made_up(30)
    shorter = prequential(runs[:20], "energy_j", timer=lambda: next(timer_s))
    longer = prequential(runs, "energy_j", timer=lambda: next(timer_s))
    assert [trial.answers for trial in shorter] == [trial.answers[:20] for trial in longer]


@pytest.fixture
def timer_s() -> Iterator[float]:
    return timer()
