"""From generation by fuel to g/kWh."""

import csv
import gzip
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from carbonq.domain.carbon import Scope
from carbonq.forecasters.carbon.generation import (
    DIRECT,
    LIFECYCLE,
    Fuel,
    intensity_g_per_kwh,
    intensity_rows,
    mix_of,
    reported,
)

NIGHT = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_mix_emits_the_mean_of_its_fuels_weighted_by_what_they_generate() -> None:
    mix = {Fuel.COAL: 1000.0, Fuel.WIND: 3000.0}
    assert intensity_g_per_kwh(mix, Scope.LIFECYCLE) == (820 + 3 * 11) / 4
    assert intensity_g_per_kwh(mix, Scope.DIRECT) == 760 / 4


def test_only_shares_matter_and_not_levels() -> None:
    mix = {Fuel.GAS: 3.0, Fuel.NUCLEAR: 5.0, Fuel.OTHER: 1.0}
    fourfold = {fuel: 4 * value for fuel, value in mix.items()}
    assert intensity_g_per_kwh(fourfold, Scope.LIFECYCLE) == intensity_g_per_kwh(mix, Scope.LIFECYCLE)


@pytest.mark.parametrize("storage_mw", [-800.0, 0.0, 800.0], ids=["charging", "idle", "giving"])
def test_storage_counts_on_neither_side(storage_mw: float) -> None:
    assert intensity_g_per_kwh({Fuel.GAS: 100.0, Fuel.STORAGE: storage_mw}, Scope.LIFECYCLE) == 490


def test_a_plants_own_use_is_no_generation() -> None:
    assert intensity_g_per_kwh({Fuel.GAS: 100.0, Fuel.SOLAR: -3.0}, Scope.LIFECYCLE) == 490


@pytest.mark.parametrize("mix", [{}, {Fuel.COAL: 0.0}, {Fuel.COAL: -5.0}, {Fuel.STORAGE: 100.0}])
def test_where_nothing_is_generated_there_is_no_intensity(mix: Mapping[Fuel, float]) -> None:
    assert intensity_g_per_kwh(mix, Scope.LIFECYCLE) is None


def test_every_fuel_but_storage_has_a_factor_with_a_source_in_both_tables() -> None:
    fuels = set(Fuel) - {Fuel.STORAGE}
    assert set(LIFECYCLE) == fuels
    assert set(DIRECT) == fuels
    assert all(factor.source for table in (LIFECYCLE, DIRECT) for factor in table.values())


def test_no_fuel_emits_more_at_the_stack_than_over_its_life() -> None:
    assert [fuel for fuel in DIRECT if DIRECT[fuel].g_per_kwh > LIFECYCLE[fuel].g_per_kwh] == []


def test_a_name_that_no_table_knows_is_counted_as_other_and_named() -> None:
    mix = mix_of({"B04": 10.0, "B99": 5.0}, {"B04": Fuel.GAS})
    assert mix.generation == {Fuel.GAS: 10.0, Fuel.OTHER: 5.0}
    assert mix.unknown == {"B99"}


def test_names_of_one_fuel_are_added_up() -> None:
    names = {"B02": Fuel.COAL, "B05": Fuel.COAL}
    assert mix_of({"B02": 3.0, "B05": 4.0}, names).generation == {Fuel.COAL: 7.0}


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), 1e9, -1e9])
def test_what_no_grid_can_generate_counts_as_not_reported(value: float | None) -> None:
    names = {"NG": Fuel.GAS, "COL": Fuel.COAL}
    assert mix_of({"NG": 10.0, "COL": value}, names).generation == {Fuel.GAS: 10.0}


def _hours(*mixes: Mapping[Fuel, float]) -> dict[datetime, Mapping[Fuel, float]]:
    return {NIGHT + index * HOUR: mix for index, mix in enumerate(mixes)}


def _known(by_moment: Mapping[datetime, Mapping[Fuel, float]]) -> list[int]:
    return [(moment - NIGHT) // HOUR for moment, _ in reported(by_moment, [Fuel.STORAGE])]


def test_the_newest_hours_wait_until_all_fuels_that_ran_have_reported() -> None:
    both, nuclear = {Fuel.NUCLEAR: 100.0, Fuel.GAS: 50.0}, {Fuel.NUCLEAR: 100.0}
    assert _known(_hours(both, both, nuclear, nuclear)) == [0, 1]


def test_a_hole_in_one_fuel_is_a_hole_in_the_series() -> None:
    both, nuclear = {Fuel.NUCLEAR: 100.0, Fuel.GAS: 50.0}, {Fuel.NUCLEAR: 100.0}
    assert _known(_hours(both, nuclear, both)) == [0, 2]


def test_hours_before_a_fuel_is_first_heard_are_unknown_if_it_ran_then() -> None:
    both, nuclear = {Fuel.NUCLEAR: 100.0, Fuel.GAS: 50.0}, {Fuel.NUCLEAR: 100.0}
    assert _known(_hours(nuclear, both)) == [1]


def test_solar_that_falls_silent_at_dusk_is_zero_and_not_unknown() -> None:
    noon, dusk, dark = ({Fuel.GAS: 100.0, Fuel.SOLAR: 80.0}, {Fuel.GAS: 100.0, Fuel.SOLAR: 0.05}, {Fuel.GAS: 100.0})
    assert _known(_hours(noon, dusk, dark, dark)) == [0, 1, 2, 3]


def test_solar_that_is_late_in_the_morning_is_not_taken_for_night() -> None:
    """It was silent all night, but at this hour of the day before it ran."""
    dark, day = {Fuel.GAS: 100.0, Fuel.SOLAR: 0.0}, {Fuel.GAS: 100.0, Fuel.SOLAR: 60.0}
    yesterday = [dark] * 8 + [day] * 8 + [dark] * 8
    today = [{Fuel.GAS: 100.0}] * 10
    assert _known(_hours(*yesterday, *today)) == list(range(24 + 8))


def test_charging_that_is_not_reported_holds_nothing_up() -> None:
    assert _known(_hours({Fuel.GAS: 10.0, Fuel.STORAGE: 5.0}, {Fuel.GAS: 10.0})) == [0, 1]


def test_a_fuel_that_was_closed_down_is_waited_for_three_days_and_no_longer() -> None:
    both, gas = {Fuel.GAS: 100.0, Fuel.COAL: 50.0}, {Fuel.GAS: 100.0}
    assert _known(_hours(both, *[gas] * 100)) == [0, *range(73, 101)]


def test_a_fuel_that_is_new_leaves_the_time_before_it_as_it_was() -> None:
    both, gas = {Fuel.GAS: 100.0, Fuel.COAL: 50.0}, {Fuel.GAS: 100.0}
    assert _known(_hours(*[gas] * 100, both)) == [*range(28), 100]


def test_one_kind_of_coal_does_not_stand_for_the_other() -> None:
    names = {"B02": Fuel.COAL, "B05": Fuel.COAL, "B10": Fuel.STORAGE}
    by_hour: dict[datetime, dict[str, float | None]] = {
        NIGHT: {"B02": 50.0, "B05": 40.0, "B10": 5.0},
        NIGHT + HOUR: {"B02": 50.0, "B05": None},
    }
    rows = intensity_rows(by_hour, names, HOUR, Scope.LIFECYCLE, whose="a grid")
    assert [row.start for row in rows] == [NIGHT]


def test_a_name_that_is_not_known_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    by_hour = {NIGHT + hour * HOUR: {"B98": 1.0} for hour in range(3)}
    for _ in range(2):
        rows = intensity_rows(by_hour, {}, HOUR, Scope.DIRECT, whose="a grid")
        assert [row.intensity_g_per_kwh for row in rows] == [575] * 3
    assert caplog.messages == ["a grid names a fuel 'B98' that is not known here: counted as other"]


SHARED = Path(__file__).parents[3] / "shared" / "data" / "carbon" / "carboncast_2020_2021"
COLUMNS = {
    "coal_mw": Fuel.COAL,
    "nat_gas_mw": Fuel.GAS,
    "oil_mw": Fuel.OIL,
    "nuclear_mw": Fuel.NUCLEAR,
    "hydro_mw": Fuel.HYDRO,
    "solar_mw": Fuel.SOLAR,
    "wind_mw": Fuel.WIND,
    "biomass_mw": Fuel.BIOMASS,
    "geothermal_mw": Fuel.GEOTHERMAL,
    "other_mw": Fuel.OTHER,
    "unknown_mw": Fuel.OTHER,
}


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the reference data beside the repository")
@pytest.mark.parametrize("zone", ["CISO", "PJM", "DE", "PL", "ES"])
def test_published_intensities_of_whole_years_are_met_by_the_same_mixes(zone: str) -> None:
    """CarbonCast computed them by the same lifecycle factors, which it took from the same sources."""
    with gzip.open(SHARED / f"{zone}.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))[::97]
    computed = [
        intensity_g_per_kwh(
            mix_of({name: float(row[name] or "nan") for name in COLUMNS if name in row}, COLUMNS).generation,
            Scope.LIFECYCLE,
        )
        for row in rows
    ]
    published = [float(row["carbon_intensity_gco2_per_kwh"]) for row in rows]
    assert computed == pytest.approx(published, abs=0.01)
