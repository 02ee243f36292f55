"""The replayed past: made up, labelled, reproducible, and off by as much as it states."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import fmean, pstdev

import pytest

from carbonq.domain.carbon import Origin
from carbonq.forecasters.carbon.sources.replay import PERSISTENCE, ReplaySource, seeded_errors
from carbonq.forecasters.carbon.sources.typical import TypicalSource

NOON = datetime(2026, 7, 6, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def values(source: ReplaySource, start: datetime = NOON, end: datetime = NOON + DAY) -> list[float]:
    return [reading.intensity_g_per_kwh for reading in source.history("CISO", start, end).readings]


def test_without_error_the_past_is_what_was_expected() -> None:
    exact = ReplaySource(TypicalSource(), error_rel=0.0)
    assert values(exact) == list(TypicalSource().forecast("CISO", NOON, NOON + DAY).median_g_per_kwh)


def test_the_same_seed_makes_the_same_past_and_another_one_another() -> None:
    assert values(ReplaySource(TypicalSource(), seed=3)) == values(ReplaySource(TypicalSource(), seed=3))
    assert values(ReplaySource(TypicalSource(), seed=3)) != values(ReplaySource(TypicalSource(), seed=4))


def test_asked_in_portions_the_past_reads_as_in_one_piece() -> None:
    source = ReplaySource(TypicalSource())
    parts = [
        value
        for hour in range(24)
        for value in values(source, NOON + timedelta(hours=hour), NOON + timedelta(hours=hour + 1))
    ]
    assert parts == values(source)


def test_the_error_has_the_stated_size_and_no_bias() -> None:
    """Over 400 days; neighbouring slots err alike, so that many are needed to tell."""
    errors = seeded_errors("7:CISO", 1_000_000, 400 * 48)
    assert fmean(errors) == pytest.approx(0, abs=0.08)
    assert pstdev(errors) == pytest.approx(1, abs=0.05)


def test_the_error_is_smooth() -> None:
    errors = seeded_errors("7:CISO", 1_000_000, 400 * 48)
    neighbours = fmean(one * other for one, other in pairwise(errors))
    assert neighbours / pstdev(errors) ** 2 == pytest.approx(PERSISTENCE, abs=0.02)


def test_the_error_of_a_seed_is_the_same_on_every_machine() -> None:
    """A demonstration that is told about must be the one that was seen: these numbers may never change."""
    assert seeded_errors("1:CISO", 990_000, 3) == pytest.approx(
        [0.4938657564523669, 0.9043664358892627, 0.9101903313273642], abs=1e-12
    )


def test_zones_err_apart() -> None:
    assert seeded_errors("1:CISO", 0, 5) != seeded_errors("1:FR", 0, 5)


def test_it_is_labelled_as_made_up_with_its_stated_error() -> None:
    series = ReplaySource(TypicalSource(), error_rel=0.15, seed=7).history("CISO", NOON, NOON + DAY)
    assert {reading.origin for reading in series.readings} == {Origin.REPLAYED}
    assert series.source == "replay:typical"
    assert "made up: typical with a seeded error of 15%, seed 7" in series.attribution


def test_even_a_large_error_leaves_the_intensity_above_zero() -> None:
    assert min(values(ReplaySource(TypicalSource(), error_rel=1.0), end=NOON + 60 * DAY)) > 0


def test_the_forecast_is_the_wrapped_sources_own() -> None:
    inner = TypicalSource().forecast("CISO", NOON, NOON + DAY)
    forecast = ReplaySource(TypicalSource()).forecast("CISO", NOON, NOON + DAY)
    assert forecast == inner.model_copy(update={"source": "replay:typical"})
