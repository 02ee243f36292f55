"""The documents of the ENTSO-E Transparency Platform, read strictly."""

from datetime import UTC, datetime, timedelta

import pytest

from carbonq.domain.errors import SourceNonsense, SourceUnreachable
from carbonq.forecasters.carbon.entsoe_xml import curves_in, on_one_grid
from carbonq.forecasters.carbon.testing.entsoe import Plant, acknowledgement, document, time_series

START = datetime(2026, 7, 6, tzinfo=UTC)
QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)
WHERE = "https://example.org/api"


def _series(*points: tuple[int, str], curve_type: str = "A01", end: str = "2026-07-06T04:00Z") -> str:
    """Four hours of solar."""
    written = "".join(f"<Point><position>{at}</position><quantity>{value}</quantity></Point>" for at, value in points)
    return (
        "<TimeSeries><inBiddingZone_Domain.mRID>X</inBiddingZone_Domain.mRID>"
        "<quantity_Measure_Unit.name>MAW</quantity_Measure_Unit.name>"
        f"<curveType>{curve_type}</curveType><MktPSRType><psrType>B16</psrType></MktPSRType>"
        f"<Period><timeInterval><start>2026-07-06T00:00Z</start><end>{end}</end></timeInterval>"
        f"<resolution>PT60M</resolution>{written}</Period></TimeSeries>"
    )


def _values(series: str) -> dict[int, float]:
    (curve,) = curves_in(document(series).body, WHERE)
    return {(moment - START) // HOUR: value for moment, value in curve.values.items()}


def test_points_that_repeat_the_one_before_are_filled_in_where_the_curve_leaves_them_out() -> None:
    assert _values(_series((1, "5"), (3, "7"), curve_type="A03")) == {0: 5, 1: 5, 2: 7, 3: 7}


def test_in_other_curves_a_missing_point_is_a_gap() -> None:
    assert _values(_series((1, "5"), (3, "7"), curve_type="A01")) == {0: 5, 2: 7}


def test_before_its_first_point_a_curve_is_unknown() -> None:
    assert _values(_series((3, "7"), curve_type="A03")) == {2: 7, 3: 7}


def test_generation_and_consumption_are_told_apart() -> None:
    gives, takes = Plant("B10", lambda _moment: 1), Plant("B10", lambda _moment: 2, outward=True)
    both = "".join(time_series(plant, START, START + HOUR) for plant in (gives, takes))
    assert [(curve.outward, [*curve.values.values()]) for curve in curves_in(document(both).body, WHERE)] == [
        (False, [1]),
        (True, [2]),
    ]


def test_two_periods_of_one_series_are_one_curve() -> None:
    series = _series((1, "5"), (2, "6"), (3, "7"), (4, "8"))
    period = series[series.index("<Period>") : series.index("</TimeSeries>")]
    later = period.replace("2026-07-06T04:00Z", "2026-07-06T08:00Z").replace("2026-07-06T00:00Z", "2026-07-06T04:00Z")
    assert list(_values(series.replace(period, period + later))) == list(range(8))


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [("2026-03-28T23:00Z", "2026-03-29T22:00Z", 23), ("2026-10-24T22:00Z", "2026-10-25T23:00Z", 25)],
    ids=["spring forward", "fall back"],
)
def test_a_day_on_which_the_clocks_change_has_its_own_number_of_points(start: str, end: str, hours: int) -> None:
    first = datetime.fromisoformat(start)
    series = time_series(Plant("B04", lambda moment: moment.hour, HOUR, "A01"), first, datetime.fromisoformat(end))
    (curve,) = curves_in(document(series).body, WHERE)
    assert list(curve.values) == [first + hour * HOUR for hour in range(hours)]


def test_on_one_grid_hours_are_held_over_their_quarters() -> None:
    gas, solar = Plant("B04", lambda _moment: 8), Plant("B16", lambda moment: moment.minute, QUARTER)
    content = "".join(time_series(plant, START, START + HOUR) for plant in (gas, solar))
    step, by_moment = on_one_grid(curves_in(document(content).body, WHERE))
    assert step == QUARTER
    assert [by_moment[START + part * QUARTER] for part in range(4)] == [
        {"B04": 8, "B16": minute} for minute in (0, 15, 30, 45)
    ]


def test_no_data_is_no_curve_and_no_error() -> None:
    assert curves_in(acknowledgement("No matching data found for Data item ACTUAL").body, WHERE) == []


def test_another_acknowledgement_is_a_refusal_in_its_words() -> None:
    with pytest.raises(SourceUnreachable, match="Delivered time interval is not valid"):
        curves_in(acknowledgement("Delivered time interval is not valid").body, WHERE)


WHOLE = document(_series((1, "5"), (2, "6"), (3, "7"), (4, "8"))).body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"error": "no"}',
        b"<!DOCTYPE html><html><body>Sign in</body></html>",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><a>&c;</a>',
        WHOLE[: len(WHOLE) // 2],
        WHOLE[:-1],
        b"<html><body>Service temporarily unavailable</body></html>",
        WHOLE.replace(b"MAW", b"MWH"),
        WHOLE.replace(b"<curveType>A01</curveType>", b""),
        WHOLE.replace(b"PT60M", b"P1D"),
        WHOLE.replace(b"2026-07-06T00:00Z", b"2026-07-06T00:00"),
        WHOLE.replace(b"2026-07-06T04:00Z", b"2026-07-06T00:00Z"),
        WHOLE.replace(b"2026-07-06T04:00Z", b"9026-07-06T00:00Z"),
        WHOLE.replace(b"<position>4<", b"<position>5<"),
        WHOLE.replace(b"<position>4<", b"<position>0<"),
        WHOLE.replace(b"<position>4<", b"<position>four<"),
        WHOLE.replace(b"<quantity>8</quantity>", b""),
        WHOLE.replace(b"<quantity>8<", b"<quantity>a lot<"),
    ],
    ids=lambda body: f"{body[-60:]!r}",
)
def test_what_is_no_whole_document_is_refused_with_its_address(body: bytes) -> None:
    with pytest.raises(SourceNonsense) as caught:
        curves_in(body, WHERE)
    assert caught.value.where == WHERE
