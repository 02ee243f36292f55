"""Weather known in advance, from Open-Meteo: a help to models where wind and sun set the intensity. Off unless chosen.

What is expected now comes from `/v1/forecast`. What was expected on past days comes from the previous-runs API, whose
`…_previous_dayN` is the value of the run at least N days before the hour it is for (from 2024 on): only values that were
published by an issue's moment are part of it. The historical-forecast API is not used: it joins the first hours of each run,
which nobody knew days ahead. One weather model serves for both, so that what a model learned still holds.

Documented at open-meteo.com/en/docs and /en/docs/previous-runs-api.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from carbonq.domain.carbon import Zone
from carbonq.domain.errors import SourceNonsense
from carbonq.domain.time import floor_to
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.models.series import Features, Issue
from carbonq.forecasters.carbon.places import Place, places_of
from carbonq.forecasters.carbon.readings import spans

FORECAST_URL, PREVIOUS_RUNS_URL = "https://api.open-meteo.com", "https://previous-runs-api.open-meteo.com"
MODEL = "ecmwf_ifs025"
"""The world's best at several days ahead, for every place on Earth, openly licensed."""
HORIZON_H = 7 * 24
PUBLISHED_AFTER_H = 9
"""Hours from a run's start until its values are out everywhere."""
LEADS = range(1, 8)
"""The previous runs that are kept, in days."""
CHUNK = timedelta(days=60)
"""What is asked for at once: about 1 MB for four places."""
HOUR_S, HOUR = 3600, timedelta(hours=1)


class WeatherInfo(NamedTuple):
    """What a person should know before choosing it."""

    title: str
    licence: str
    attribution: str
    terms_url: str


INFO = WeatherInfo(
    title="Open-Meteo, ECMWF IFS 0.25°",
    licence="CC BY 4.0; the free service is for non-commercial use alone, below 10,000 calls a day",
    attribution="Weather data by Open-Meteo.com (CC BY 4.0), from ECMWF open data",
    terms_url="https://open-meteo.com/en/terms",
)


class _Variable(NamedTuple):
    """One quantity as the API names it, and what values of it a place on Earth can have."""

    name: str
    feature: str
    lowest: float
    highest: float
    label_shift_h: int = 0  # 1: the value labelled 13:00 is the mean of the hour before, so it belongs to 12:00


VARIABLES = (
    _Variable("wind_speed_100m", "wind_speed_100m_m_per_s", 0, 150),
    _Variable("shortwave_radiation", "shortwave_radiation_w_per_m2", -5, 1600, label_shift_h=1),
    _Variable("temperature_2m", "temperature_2m_c", -95, 65),
)
FEATURES = tuple(variable.feature for variable in VARIABLES)

Column = Mapping[datetime, float]
"""Values by the API's own time label."""


class OpenMeteo:
    """The mean weather of a zone's places. Errors: NotFound for a zone without places, SourceUnreachable, SourceNonsense."""

    info, subject, attribution = INFO, "weather", INFO.attribution

    def __init__(
        self, forecasts: JsonClient, previous_runs: JsonClient, places: Mapping[Zone, Sequence[Place]] | None = None
    ) -> None:
        self._forecasts, self._previous_runs, self._places = forecasts, previous_runs, places

    def current(self, zone: Zone, now: datetime) -> Features:
        """What is expected now, by the hour for seven days: one issue."""
        start = floor_to(now, HOUR_S)
        names = [variable.name for variable in VARIABLES]
        days = {"forecast_days": str(HORIZON_H // 24 + 2)}  # today's and that of the last label included
        columns = self._ask(self._forecasts, zone, names, days)
        values = [
            [
                columns[variable.name].get(start + (hour + variable.label_shift_h) * HOUR, math.nan)
                for variable in VARIABLES
            ]
            for hour in range(HORIZON_H)
        ]
        return Features(FEATURES, HOUR_S, (Issue(now, start, np.array(values)),))

    def past(self, zone: Zone, start: datetime, end: datetime) -> Features:
        """What was expected at each midnight UTC within `[start, end)`, for as many hours as the runs kept reach."""
        issues: list[Issue] = []
        midnight = floor_to(start + timedelta(days=1) - timedelta(microseconds=1), 86_400)
        for first, last in spans(midnight, end, CHUNK):
            issues += self._issues(zone, first, last)
        return Features(FEATURES, HOUR_S, tuple(issues))

    def _issues(self, zone: Zone, first: datetime, last: datetime) -> Iterator[Issue]:
        names = [f"{variable.name}_previous_day{days}" for variable in VARIABLES for days in LEADS]
        until = last + timedelta(days=LEADS[-1])
        span = {"start_date": f"{first:%Y-%m-%d}", "end_date": f"{until:%Y-%m-%d}"}
        columns = self._ask(self._previous_runs, zone, names, span)
        while first < last:
            values = [[_known_at(first, hour, variable, columns) for variable in VARIABLES] for hour in range(_REACH_H)]
            yield Issue(first, first, np.array(values))
            first += timedelta(days=1)

    def _ask(self, client: JsonClient, zone: Zone, names: Sequence[str], when: Mapping[str, str]) -> dict[str, Column]:
        """The mean over the zone's places of each named column; an hour that one of them lacks is left out."""
        places = places_of(zone, self._places)
        answer = client.get(
            "/v1/forecast",
            {
                "latitude": ",".join(f"{place.latitude:g}" for place in places),
                "longitude": ",".join(f"{place.longitude:g}" for place in places),
                "hourly": ",".join(names),
                "models": MODEL,
                "wind_speed_unit": "ms",
                "timeformat": "unixtime",
                "timezone": "GMT",
                **when,
            },
        )
        parts = answer if isinstance(answer, list) else [answer]  # one place is answered by itself
        if len(parts) != len(places):
            raise SourceNonsense(f"{len(parts)} answers for {len(places)} places", where=client.base_url)
        each = [_columns(part, names, client.base_url) for part in parts]
        return {name: _mean([columns[name] for columns in each]) for name in names}


def open_meteo(url: str = FORECAST_URL, places: Mapping[Zone, Sequence[Place]] | None = None) -> OpenMeteo:
    """Of the public service, or of a server of one's own, which answers both kinds of questions at one address."""
    previous = PREVIOUS_RUNS_URL if url.rstrip("/") == FORECAST_URL else url
    return OpenMeteo(JsonClient(url), JsonClient(previous, read_timeout_s=60, answer_timeout_s=60), places)


_REACH_H = LEADS[-1] * 24 - PUBLISHED_AFTER_H - 1
"""Hours of a past issue: for the last of them, even the oldest run kept was only just published."""


def _known_at(issue: datetime, hour: int, variable: _Variable, columns: Mapping[str, Column]) -> float:
    """The value that was out by the issue's moment: of the latest run that was started, and published, before it."""
    label_h = hour + variable.label_shift_h
    days = -(-(label_h + PUBLISHED_AFTER_H) // 24)
    return columns[f"{variable.name}_previous_day{days}"].get(issue + label_h * HOUR, math.nan)


def _columns(answer: object, names: Sequence[str], where: str) -> dict[str, Column]:
    """Raises SourceNonsense for anything but lists of one length under `hourly`."""
    hourly = answer.get("hourly") if isinstance(answer, dict) else None
    if not isinstance(hourly, dict):
        raise SourceNonsense('the answer has no table "hourly"', where=where)
    times = hourly.get("time")
    if not isinstance(times, list) or not all(type(time) is int and 0 <= time < 2**34 for time in times):
        raise SourceNonsense('"time" is no list of seconds since 1970', where=where)
    moments = [datetime.fromtimestamp(time, UTC) for time in times]
    return {name: _column(moments, hourly.get(name), name, where) for name in names}


def _column(moments: Sequence[datetime], values: object, name: str, where: str) -> Column:
    if not isinstance(values, list) or len(values) != len(moments):
        raise SourceNonsense(f'"{name}" is no list with a value for each time', where=where)
    variable = next(variable for variable in VARIABLES if name.startswith(variable.name))
    return {moment: float(value) for moment, value in zip(moments, values, strict=True) if _can_be(value, variable)}


def _can_be(value: object, variable: _Variable) -> bool:
    """A number within reason. Null is a gap, and so is what no weather can be."""
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and variable.lowest <= value <= variable.highest
    )


def _mean(columns: Sequence[Column]) -> Column:
    return {
        moment: math.fsum(column[moment] for column in columns) / len(columns)
        for moment in columns[0]
        if all(moment in column for column in columns)
    }
