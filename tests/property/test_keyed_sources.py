"""What holds for any answer of a provider that wants a key, and for any generation."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from carbonq.domain.carbon import Scope
from carbonq.domain.errors import NotFound, SourceNonsense, SourceUnreachable
from carbonq.domain.ports import IntensitySource
from carbonq.forecasters.carbon.entsoe_xml import curves_in, on_one_grid
from carbonq.forecasters.carbon.generation import Fuel, factors, intensity_g_per_kwh, reported
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.sources.eia import EiaSource
from carbonq.forecasters.carbon.sources.electricity_maps import ElectricityMapsSource
from carbonq.forecasters.carbon.sources.watttime import WattTimeSource
from carbonq.forecasters.carbon.testing.entsoe import Plant, document, time_series

NOW = datetime(2026, 7, 6, tzinfo=UTC)
DAY = timedelta(days=1)

numbers = st.floats() | st.integers()
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
times = st.sampled_from(["2026-07-06T00", "2026-07-06T00:00Z", "2026-07-05T23:55:00+00:00", "2026-07-06T00:00"])
entries = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("period", "datetime", "point_time"), times | json_values),
        **dict.fromkeys(("value", "carbonIntensity"), numbers | json_values),
        "fueltype": st.sampled_from(["NG", "COL", "?"]) | json_values,
        "respondent": st.just("CISO") | json_values,
        "value-units": st.just("megawatthours") | json_values,
        "isEstimated": json_values,
        "emissionFactorType": st.just("lifecycle") | json_values,
        "temporalGranularity": st.just("hourly") | json_values,
    },
)
lists = st.lists(entries | json_values, max_size=4)
meta = st.fixed_dictionaries(
    {"region": st.just("CISO"), "signal_type": st.just("co2_moer"), "units": st.just("lbs_co2_per_mwh")},
    optional={"data_point_period_seconds": json_values},
)
answers = (
    json_values
    | st.fixed_dictionaries({"zone": st.just("CISO")}, optional=dict.fromkeys(("data", "history", "forecast"), lists))
    | st.fixed_dictionaries({"data": lists, "meta": meta | json_values})
    | st.fixed_dictionaries({"response": st.fixed_dictionaries({"data": lists}) | json_values})
)


class Says(JsonClient):
    """A client whose provider lists the zone CISO and has already answered."""

    def __init__(self, answer: object) -> None:
        super().__init__("http://provider.invalid")
        self._answer = answer

    def get(self, path: str, params: Any = None) -> object:
        if path == "/zones":
            return {"CISO": {}}
        if path == "/v3/my-access":
            return {"signal_types": [{"signal_type": "co2_moer", "regions": [{"region": "CISO"}]}]}
        return self._answer


MAKERS: list[Callable[[JsonClient], IntensitySource]] = [ElectricityMapsSource, WattTimeSource, EiaSource]


@given(make=st.sampled_from(MAKERS), answer=answers)
def test_any_json_is_read_or_refused_but_never_surprises(
    make: Callable[[JsonClient], IntensitySource], answer: object
) -> None:
    with suppress(SourceNonsense, NotFound):
        make(Says(answer)).history("CISO", NOW - DAY, NOW)
    with suppress(SourceNonsense, NotFound):
        make(Says(answer)).forecast("CISO", NOW, NOW + DAY)


WHOLE = document(
    "".join(
        time_series(plant, NOW, NOW + timedelta(hours=3))
        for plant in (Plant("B16", lambda moment: moment.hour), Plant("B10", lambda _moment: 5, outward=True))
    )
).body


@given(at=st.integers(0, len(WHOLE)), cut=st.integers(0, 40), put=st.binary(max_size=20))
def test_a_document_that_was_tampered_with_is_read_or_refused_but_never_surprises(
    at: int, cut: int, put: bytes
) -> None:
    with suppress(SourceNonsense, SourceUnreachable):
        on_one_grid(curves_in(WHOLE[:at] + put + WHOLE[at + cut :], "https://example.org"))


mixes = st.dictionaries(st.sampled_from(list(Fuel)), st.floats(-1e6, 1e6), max_size=6)


@given(mix=mixes, scope=st.sampled_from(list(Scope)))
def test_an_intensity_lies_between_those_of_its_fuels(mix: dict[Fuel, float], scope: Scope) -> None:
    produced = [factors(scope)[fuel].g_per_kwh for fuel, mw in mix.items() if fuel is not Fuel.STORAGE and mw > 0]
    intensity = intensity_g_per_kwh(mix, scope)
    if intensity is None:
        assert produced == []
    else:
        assert min(produced) * (1 - 1e-9) <= intensity <= max(produced) * (1 + 1e-9)


@given(hours=st.lists(mixes, max_size=60))
def test_moments_are_left_out_but_never_changed(hours: list[dict[Fuel, float]]) -> None:
    given_mixes = {NOW + hour * timedelta(hours=1): mix for hour, mix in enumerate(hours)}
    kept = list(reported(given_mixes))
    assert kept == [(moment, given_mixes[moment]) for moment, _ in kept]
    assert [moment for moment, _ in kept] == sorted(moment for moment, _ in kept)
