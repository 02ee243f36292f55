"""The rolling backtest: what each model may see, which origins count, and that one forecast equals its row."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import NamedTuple

import numpy as np
import pytest

from carbonq.domain.errors import InvalidInput
from carbonq.forecasters.carbon.backtest import Contender, History, Span, backtest, forecast_at, origins_of, run
from carbonq.forecasters.carbon.contenders import contenders
from carbonq.forecasters.carbon.models.baselines import Published, Typical, Yesterday
from carbonq.forecasters.carbon.models.series import QUANTILES, Features, FloatArray, Issue, Readings

START = datetime(2021, 1, 1, tzinfo=UTC)


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def wavy(days: int, seed: int = 1) -> Readings:
    """A daily wave with noise."""
    hours = np.arange(24 * days)
    noise = np.random.default_rng(seed).normal(0, 8, len(hours))
    return Readings(START, 3600, 200 + 60 * np.sin(hours / 24 * 2 * np.pi) + noise)


class Seen(NamedTuple):
    """One call of a model: when its readings and features end."""

    call: str
    end: datetime
    values: FloatArray
    issued: list[datetime]
    past: list[int]


class Spy:
    """A model that writes down all it is shown."""

    name = "spy"

    def __init__(self, seen: list[Seen]) -> None:
        self.seen = seen

    def fit(self, readings: Readings, features: Sequence[Features] = ()) -> None:
        self._note("fit", readings, features)

    def predict(self, readings: Readings, horizon: int, features: Sequence[Features] = ()) -> FloatArray:
        self._note("predict", readings, features)
        return np.tile(np.arange(float(len(QUANTILES)))[:, None], horizon)

    def _note(self, call: str, readings: Readings, features: Sequence[Features]) -> None:
        issued = [issue.issued_at for one in features for issue in one.issues]
        past = [len(issue.values) for one in features for issue in one.issues if one.names == ("wind",)]
        self.seen.append(Seen(call, readings.end, readings.values, issued, past))


def weather(*, every_h: int, days: int) -> Features:
    moments = [START + timedelta(hours=hour) for hour in range(0, 24 * days, every_h)]
    return Features(("temperature",), 3600, tuple(Issue(moment, moment, np.ones((96, 1))) for moment in moments))


# --- what a model may see


def test_a_model_never_sees_a_reading_or_a_feature_from_after_its_moment() -> None:
    readings = wavy(30)
    seen: list[Seen] = []
    published = Features(("published",), 3600, weather(every_h=24, days=30).issues)
    contender = Contender("spy", lambda: Spy(seen), (weather(every_h=3, days=30), published))
    origins = origins_of(readings, Span(at(10), at(20), 48, (0, 5, 17)))
    run(History("X", readings), contender, origins, 48)

    predicts = [one for one in seen if one.call == "predict"]
    assert origins == [one.end for one in predicts]
    assert [at(day) for day in range(10, 20)] == [one.end for one in seen if one.call == "fit"]
    for one in seen:
        assert len(one.values) == readings.step_of(one.end)
        assert max(one.issued) <= one.end
    assert {one.end - max(one.issued) for one in predicts} == {timedelta(hours=0), timedelta(hours=2)}


def test_what_lies_after_the_moment_changes_nothing() -> None:
    """Two histories that are the same up to the origin give the same forecast, whatever follows."""
    readings = wavy(30)
    other = readings._replace(values=np.concatenate([readings.values[: 24 * 20], np.full(24 * 10, 9e3)]))
    for contender in contenders(["yesterday", "last-week", "mean-7d", "typical"], step_s=3600):
        first, second = (
            run(History("X", one), contender, [at(20)], 96).quantiles[0].tolist() for one in (readings, other)
        )
        assert first == second


def test_the_model_is_fitted_once_a_day() -> None:
    seen: list[Seen] = []
    made = count()

    def make() -> Spy:
        next(made)
        return Spy(seen)

    run(History("X", wavy(20)), Contender("spy", make), [at(10), at(10.25), at(10.5), at(11.25)], 24)
    assert [one.call for one in seen] == ["fit", "predict", "predict", "predict", "fit", "predict"]
    assert next(made) == 1


def test_the_typical_profile_is_of_readings_before_the_test_alone() -> None:
    (typical,) = contenders(["typical"], step_s=3600)
    seen: list[Seen] = []
    run(History("X", wavy(30)), typical._replace(make=lambda: Spy(seen)), [at(day) for day in range(20, 25)], 24)
    assert [at(20)] == [one.end for one in seen if one.call == "fit"]


def test_other_columns_are_features_that_end_with_the_readings() -> None:
    readings = wavy(20)
    history = History("X", readings, ("wind",), np.arange(len(readings.values), dtype=float)[:, None])
    seen: list[Seen] = []
    run(history, Contender("spy", lambda: Spy(seen), with_past=True), [at(10.5)], 24)
    assert [one.past for one in seen] == [[240], [252]]
    assert [[at(10)], [at(10.5)]] == [one.issued for one in seen]


def test_training_begins_where_it_is_told_to() -> None:
    readings = wavy(30)
    past = np.arange(len(readings.values), dtype=float)[:, None]
    kept = History("X", readings, ("wind",), past).since(at(5))
    assert (at(5), 24 * 25, 24 * 5.0) == (kept.readings.start, len(kept.readings.values), kept.past[0, 0])
    assert kept.since(None) == kept


# --- which origins count


def test_there_is_one_origin_a_day_and_hour_as_far_as_actuals_reach() -> None:
    found = origins_of(wavy(30), Span(at(20), at(31), 96, (12, 0)))
    assert [at(20 + half / 2) for half in range(13)] == found
    assert found[-1] + timedelta(hours=96) == at(30)


def test_the_last_moment_is_not_an_origin() -> None:
    assert [at(10)] == origins_of(wavy(30), Span(at(10), at(11)))


def test_an_origin_whose_actuals_have_a_gap_does_not_count() -> None:
    readings = wavy(30)
    readings.values[24 * 15 + 3] = np.nan
    found = origins_of(readings, Span(at(10), at(20), 48))
    assert [at(day) for day in (10, 11, 12, 13, 16, 17, 18, 19)] == found


def test_an_origin_needs_something_known_before_its_day() -> None:
    readings = wavy(10)
    readings.values[:30] = np.nan
    assert [at(2), at(3)] == origins_of(readings, Span(START, at(4), 24))


def test_a_test_outside_the_readings_is_told_with_what_there_is() -> None:
    with pytest.raises(InvalidInput) as caught:
        origins_of(wavy(10), Span(at(8), at(20), 96))
    assert "2021-01-01 00:00 to 2021-01-11 00:00" in caught.value.hint


# --- one forecast, and its row


@pytest.mark.parametrize("name", ["yesterday", "last-week", "mean-7d", "typical"])
@pytest.mark.parametrize("moment", [at(20), at(20.25)])
def test_the_forecast_at_a_moment_is_its_row_of_the_backtest(name: str, moment: datetime) -> None:
    history = History("X", wavy(40))
    (contender,) = contenders([name], step_s=3600)
    trial = run(history, contender, origins_of(history.readings, Span(at(20), at(25), 96, (0, 6))), 96)
    row = trial.origins.index(moment)
    assert forecast_at(history, contender, moment, 96).tolist() == trial.quantiles[row].tolist()


def test_a_forecast_is_possible_some_days_after_the_readings_end() -> None:
    found = forecast_at(History("X", wavy(20)), Contender("y", Yesterday), at(22), 24)
    assert np.isfinite(found).all()


def test_a_forecast_from_nothing_or_from_old_readings_is_refused() -> None:
    history = History("X", wavy(20))
    for moment in (at(0.5), at(-3), at(60)):
        with pytest.raises(InvalidInput):
            forecast_at(history, Contender("y", Yesterday), moment, 24)


# --- scores


def test_a_model_is_scored_in_one_call() -> None:
    ticks = count()
    found = backtest(
        wavy(60), Yesterday, Span(at(30), at(50)), jobs_s={"4h": 14_400.0}, timer=lambda: float(next(ticks))
    )
    assert found is not None
    assert (found.model, found.origins, len(found.mape_pct_by_day)) == ("yesterday", 20, 4)
    assert (found.fit_s, found.predict_s) == (1.0, 1.0)
    capture = found.jobs["4h"].capture_pct
    assert capture is not None
    assert 90 < capture <= 100


def test_a_model_without_a_forecast_for_some_origins_is_scored_on_the_others() -> None:
    readings = wavy(20)
    issues = Features(("published",), 3600, weather(every_h=48, days=20).issues)
    trial = run(History("X", readings), Contender("published", Published, (issues,)), [at(10), at(11), at(12)], 96)
    found = trial.scores({})
    assert found is not None
    assert found.origins == 2
    assert trial._replace(quantiles=trial.quantiles * np.nan).scores({}) is None


def test_a_stride_takes_every_nth_day() -> None:
    assert [at(10), at(17)] == list(Span(at(10), at(20), stride_days=7).moments())


def test_typical_beats_yesterday_on_a_stable_shape_with_noise() -> None:
    scores = [backtest(wavy(90), make, Span(at(60), at(80))) for make in (Typical, Yesterday)]
    assert scores[0] is not None
    assert scores[1] is not None
    assert scores[0].mae_g_per_kwh < scores[1].mae_g_per_kwh


# --- which models there are


def test_without_names_every_model_that_can_be_made_is_tested() -> None:
    published = Features(("published",), 3600, ())
    assert [one.name for one in contenders([], step_s=3600)] == [
        "carbonq",
        "yesterday",
        "last-week",
        "mean-7d",
        "typical",
    ]
    assert {"published", "carbonq+published"} <= {one.name for one in contenders([], step_s=3600, published=published)}


def test_the_published_forecast_reaches_only_the_models_named_after_it() -> None:
    published, given = Features(("published",), 3600, ()), weather(every_h=24, days=2)
    by_name = {one.name: one for one in contenders([], step_s=3600, features=[given], published=published)}
    assert (given,) == by_name["carbonq"].features
    assert (given, published) == by_name["carbonq+published"].features
    assert (published,) == by_name["published"].features
    assert by_name["yesterday"].features == ()


@pytest.mark.parametrize("name", ["published", "carbonq+published", "nobody"])
def test_a_model_that_cannot_be_made_is_named(name: str) -> None:
    with pytest.raises(InvalidInput, match=name.replace("+", r"\+")):
        contenders([name], step_s=3600)
