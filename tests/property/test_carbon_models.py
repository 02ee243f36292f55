"""The models, whatever the past looks like: they answer, in order, and from nothing but that past."""

from datetime import timedelta

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from carbonq.forecasters.carbon.models.calibration import PAIRS, band, shifts
from carbonq.forecasters.carbon.models.series import MEDIAN, QUANTILES, Features, FloatArray, Issue, Readings
from carbonq.forecasters.carbon.models.transform import Transform
from carbonq.forecasters.carbon.models.weighing import member_weights
from carbonq.forecasters.carbon.models.zone_model import TooShort, ZoneModel
from tests.made_up_series import START, cycle

DAY = timedelta(days=1)


@st.composite
def pasts(draw: st.DrawFn) -> Readings:
    """One to 80 days on steps of half an hour to six hours, of any size, with gaps, spikes, stale and constant stretches."""
    step_s = draw(st.sampled_from([1800, 3600, 7200, 10_800, 21_600]))
    steps = draw(st.integers(1, 80 * 86_400 // max(step_s, 3600)))
    noise = np.random.default_rng(draw(st.integers(0, 99))).normal(size=steps)
    level, swing, rough = (draw(st.sampled_from([0.0, 1e-3, 1.0, 250.0])) for _ in range(3))
    values = level + swing * (cycle(81, step_s)[:steps] / 70 - 3) + rough * noise
    for _ in range(draw(st.integers(0, 4))):
        first = draw(st.integers(0, steps - 1))
        part = slice(first, first + draw(st.integers(1, steps)), draw(st.sampled_from([1, 1, 2, 3])))
        spoil = draw(st.sampled_from(["gap", "spike", "stale", "zero"]))
        new = {"gap": np.nan, "spike": 10 * values[first], "stale": values[first], "zero": 0.0}
        values[part] = new[spoil]
    return Readings(START + timedelta(seconds=step_s * draw(st.integers(0, 50))), step_s, values)


@st.composite
def features(draw: st.DrawFn, past: Readings) -> Features:
    """Issues at odd times, with gaps, of some or no days, up to or beyond the end."""
    step_s = draw(st.sampled_from([past.step_s, 1800, 10_800]))
    steps = draw(st.integers(1, 5 * 86_400 // step_s))
    names = draw(st.sampled_from([("published",), ("wind",), ("wind", "load"), ("coal_mw", "gas_mw", "wind_mw")]))
    noise = np.random.default_rng(draw(st.integers(0, 99)))
    issues = []
    for day in range(draw(st.integers(0, 3)), (past.end - past.start) // DAY + 2, draw(st.integers(1, 9))):
        at = past.start + day * DAY + timedelta(minutes=draw(st.integers(0, 1439)))
        values = noise.normal(100, 30, (steps, len(names)))
        values[noise.random(values.shape) < 0.1] = np.nan
        issues.append(Issue(at, at + timedelta(minutes=30 * draw(st.integers(-20, 40))), values))
    return Features(names, step_s, tuple(sorted(issues, key=lambda one: one.issued_at)))


def forecast(past: Readings, told: tuple[Features, ...], horizon: int) -> FloatArray | None:
    model = ZoneModel(past.step_s)
    try:
        model.fit(past, told)
    except TooShort:
        assert np.isfinite(past.values).sum() < 86_400 // past.step_s
        return None
    return model.predict(past, horizon, told)


@given(st.data(), st.integers(1, 200))
@settings(max_examples=40, deadline=None)
def test_whatever_the_past_the_forecast_is_finite_and_in_order(data: st.DataObject, horizon: int) -> None:
    past = data.draw(pasts())
    told = tuple(data.draw(features(past)) for _ in range(data.draw(st.integers(0, 2))))
    quantiles = forecast(past, told, horizon)
    if quantiles is None:
        return
    assert quantiles.shape == (len(QUANTILES), horizon)
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=0) >= 0).all()
    if np.nanmin(past.values) >= 0:
        assert quantiles.min() >= 0


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_what_comes_after_the_past_changes_nothing(data: st.DataObject) -> None:
    past = data.draw(pasts())
    told = data.draw(features(past))
    now = forecast(past, (told.before(past.end),), 24)
    later = forecast(past, (told,), 24)
    assert (now is None) == (later is None)
    if now is not None and later is not None:
        assert now.tolist() == later.tolist()


@given(st.lists(st.integers(20, 75), min_size=2, max_size=3).map(sorted), st.integers(0, 9))
@settings(max_examples=4, deadline=None)
def test_remembering_changes_no_number(days: list[int], seed: int) -> None:
    values = cycle(76) + 20 * np.random.default_rng(seed).normal(size=76 * 24)
    remembering = ZoneModel(remember=True)
    for day in days:
        past = Readings(START, 3600, values[: day * 24])
        remembering.fit(past)
        fresh = forecast(past, (), 48)
        assert fresh is not None
        assert fresh.tolist() == remembering.predict(past, 48).tolist()


ERRORS = st.floats(-1e3, 1e3) | st.just(np.nan)


@given(st.lists(st.lists(ERRORS, min_size=16, max_size=16), min_size=1, max_size=70))
@settings(max_examples=60, deadline=None)
def test_a_band_of_any_errors_is_finite_and_in_order(rows: list[list[float]]) -> None:
    errors = np.array(rows)
    assume(np.isfinite(errors[:, :8]).any())
    moved = shifts(errors, 8)
    offsets = band(errors, moved, 8)
    assert len(moved) == len(PAIRS)
    assert np.isfinite(offsets).all()
    assert (np.diff(offsets, axis=0) >= 0).all()
    assert not offsets[MEDIAN].any()


@given(st.lists(st.integers(-20_000, 20_000).map(lambda tenths: tenths / 10), min_size=1, max_size=30), st.booleans())
def test_there_and_back_again(values: list[float], logarithmic: bool) -> None:
    array = np.array(values)
    transform = Transform.of(array)
    if logarithmic and transform.allows_logarithm:
        transform = transform.as_logarithm()
    back = transform.back(transform.forward(array))
    assert np.allclose(back, array, rtol=1e-9, atol=1e-9 * max(1.0, float(np.abs(array).max())))


@given(st.data())
def test_weights_add_up_to_one(data: st.DataObject) -> None:
    numbers = st.lists(ERRORS, min_size=12, max_size=12)
    said = {name: np.array(data.draw(st.lists(numbers, min_size=2, max_size=2))) for name in "abc"}
    weights = member_weights(said, np.array(data.draw(st.lists(numbers, min_size=2, max_size=2))), 100.0, 8)
    assert np.allclose(sum(weights.values()), np.ones(12))
    assert all((one >= 0).all() for one in weights.values())
