"""`carbon-aware-sdk:[average:|marginal:]URL`: a server of the Green Software Foundation's Carbon Aware SDK. No key of ours.

Such a server passes on what its own operator has configured (WattTime, Electricity Maps or files), in g/kWh, for locations
that it names, mostly the regions of clouds: `eastus` is the zone `EASTUS` here. Its interface documents forecasts as marginal
(https://carbon-aware-sdk.greensoftware.foundation), which Electricity Maps' are not; it does not tell which it is. So the word
says it, and without saying the interface's own is taken. Marginal ones are WattTime's, from the stacks alone; average ones
are taken for Electricity Maps', of the whole life cycle.

What its versions and users met and is allowed for here: `/locations` that is not there; 204 for a time without data; 400 for a
location unknown to the data source; 501 where the data source has no forecasts; points that begin after the present; the
best window under `optimalDataPoint` or `optimalDataPoints`, which is not read.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, Scope, SignalKind, SourceInfo, Zone
from carbonq.domain.errors import NotFound, SourceNonsense, SourceRefused
from carbonq.domain.time import DEFAULT_SLOT_S, SlotGrid, floor_to
from carbonq.forecasters.carbon.http import JsonClient, Params
from carbonq.forecasters.carbon.readings import (
    Row,
    checked_intensity,
    forecast_from,
    held,
    moment_in,
    overlapping,
    series_of,
    sound,
    spans,
    tidy,
    usual_step,
)

LONGEST = timedelta(days=30)
_LONGEST_POINT = timedelta(hours=1)


class CarbonAwareSdkSource:
    """The locations of one server."""

    def __init__(
        self, client: JsonClient, *, signal: SignalKind = SignalKind.MARGINAL, slot_s: int = DEFAULT_SLOT_S
    ) -> None:
        self._client, self._slot_s = client, slot_s
        self.name = f"carbon-aware-sdk:{client.base_url}"
        self.info = SourceInfo(
            name=self.name,
            title=f"The Carbon Aware SDK server at {client.base_url}",
            signal=signal,
            scope=Scope.DIRECT if signal is SignalKind.MARGINAL else Scope.LIFECYCLE,
            horizon_s=24 * 3600,
            licence="that of the data source behind the server",
            attribution=f"the Carbon Aware SDK server at {client.base_url}",
            terms_url="https://carbon-aware-sdk.greensoftware.foundation",
        )
        self._locations: dict[Zone, str] | None = None

    def zones(self) -> Sequence[Zone]:
        """The server's locations; none where it does not list them."""
        return tuple(self._known())

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        location = self._location(zone)
        rows: list[Row] = []
        for first, last in spans(floor_to(start, 3600), end, LONGEST):
            rows += self._observed({"location": location, "time": _iso(first), "toTime": _iso(last)})
        wanted = overlapping(tidy(rows, self._client.base_url), start, end)
        return series_of(zone, wanted, Origin.MEASURED, self.info)

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        """The newest forecast there is. It is asked for whole: a begin before the data's own is an error to the server."""
        location = self._location(zone)
        grid = SlotGrid.covering(now, end, self._slot_s)
        path = "/emissions/forecasts/current"
        where = self._client.base_url + path
        answer = self._ask(path, {"location": location})
        forecasts = answer if isinstance(answer, list) else []
        points = forecasts[0].get("forecastData") if forecasts and isinstance(forecasts[0], dict) else None
        if not isinstance(points, list):
            raise SourceNonsense('the answer has no list "forecastData"', where=where)
        rows = tidy(sound(points, lambda point: _row(point, where), where), where)
        return forecast_from(rows, zone, grid, model="forecasts/current", info=self.info, now=now, where=where)

    def _observed(self, params: Params) -> list[Row]:
        path = "/emissions/bylocation"
        where = self._client.base_url + path
        answer = self._ask(path, params)
        if not isinstance(answer, list):
            raise SourceNonsense("the answer is no list of emissions", where=where)
        points = dict(sound(answer, lambda point: _observation(point, where), where))
        return held(points, min(usual_step(points), _LONGEST_POINT))

    def _known(self) -> dict[Zone, str]:
        if self._locations is None:
            self._locations = self._ask_locations()
        return self._locations

    def _ask_locations(self) -> dict[Zone, str]:
        """By zone, the server's spelling of it. Empty where the server is too old to tell."""
        try:
            answer = self._client.get("/locations")
        except SourceRefused as refused:
            if refused.status in (204, 404):
                return {}
            raise
        if not isinstance(answer, dict):
            raise SourceNonsense("the answer is no table of locations", where=f"{self._client.base_url}/locations")
        return {name.upper(): name for name in sorted(answer)}

    def _location(self, zone: Zone) -> str:
        known = self._known()
        if known and zone not in known:
            raise NotFound(
                f"{self.name} has no zone {zone!r}",
                hint=f"it has {', '.join(list(known)[:20])}{', …' * (len(known) > 20)}",
            )
        return known.get(zone, zone.lower())

    def _ask(self, path: str, params: Params) -> object:
        """An empty list where the server has no data for that time. Raises NotFound for what it cannot know."""
        try:
            return self._client.get(path, params)
        except SourceRefused as refused:
            match refused.status:
                case 204:
                    return []
                case 400:
                    raise NotFound(
                        f"{self.name} does not know {params['location']!r}: {refused.what}",
                        where=refused.where,
                        hint="the server's data source must know the location",
                    ) from None
                case 501:
                    raise NotFound(
                        f"{self.name} has no forecast: its data source publishes none", where=refused.where
                    ) from None
                case _:
                    raise


def _row(point: object, where: str) -> Row:
    """A point of a forecast: `timestamp`, `duration` in minutes, `value`."""
    if not isinstance(point, dict):
        raise SourceNonsense(f"{point!r:.80} is no point of a forecast", where=where)
    start, minutes = moment_in(point.get("timestamp"), where), point.get("duration")
    if not isinstance(minutes, int | float) or not 0 < minutes <= 24 * 60:
        raise SourceNonsense(f"{minutes!r:.80} is no duration in minutes", where=where)
    return Row(start, start + timedelta(minutes=minutes), checked_intensity(point.get("value"), where))


def _observation(point: object, where: str) -> tuple[datetime, float]:
    if not isinstance(point, dict):
        raise SourceNonsense(f"{point!r:.80} is no emission", where=where)
    return moment_in(point.get("time"), where), checked_intensity(point.get("rating"), where)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
