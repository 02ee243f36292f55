"""`electricity-maps`, `electricity-maps:direct`: the Electricity Maps API, versions 4 and 3. Key in the header `auth-token`.

Average intensity, flow-traced: what a zone consumes, imports included. Lifecycle factors, or direct ones where the word says
so. Hourly values are asked for, though some plans have finer ones (https://app.electricitymaps.com/developer-hub/api).

What a key may ask depends on its plan, and `GET /zones` lists it under `access`: it is read at run time. The past comes from
`past-range` (at most 10 days a question) where that is allowed, else from `history`, the last 24 hours, else it is `latest`
alone. What is refused though it was listed is not asked for again for some hours, and is no failure of the rest. A zone that the API does not know is not to become the caller's own: `disableCallerLookup` says so in each question, and
an answer for another zone is refused. Not verified against the service: `access: ["*"]`, taken to mean everything.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from carbonq.domain.carbon import CarbonIntensity, Forecast, IntensitySeries, Origin, Scope, SourceInfo, Zone
from carbonq.domain.errors import NotFound, SourceNonsense, SourceRefused
from carbonq.domain.time import DEFAULT_SLOT_S, SlotGrid, floor_to, iso
from carbonq.forecasters.carbon.credentials import Credentials
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.readings import (
    Row,
    checked_intensity,
    forecast_from,
    moment_in,
    series_of,
    sound,
    spans,
    tidy,
)

INFO = SourceInfo(
    name="electricity-maps",
    title="Electricity Maps",
    scope=Scope.LIFECYCLE,
    resolution_s=3600,
    horizon_s=72 * 3600,
    lag_s=3600,
    licence="proprietary; for the key's holder under the terms of its plan",
    attribution="Electricity Maps (electricitymaps.com)",
    terms_url="https://electricitymaps.com/terms-of-service",
    key_setting="electricity_maps_key",
)
ENDPOINTS = ("past-range", "history", "latest", "forecast")
HORIZONS_H = (6, 24, 48, 72)
MAX_SPAN = timedelta(days=10)
HOUR = timedelta(hours=1)
ACCESS_HOLDS_S = 6 * 3600.0
_GRANULARITIES = {"hourly": HOUR, "15_minutes": timedelta(minutes=15), "5_minutes": timedelta(minutes=5)}
_FORBIDDEN = frozenset({401, 403})
_PLAN = "the plan of the key decides what it may ask"

Access = Mapping[Zone, frozenset[str] | None]
"""The endpoints that the key may ask, by zone; None where the API does not say."""


class _Value(NamedTuple):
    row: Row
    origin: Origin


class ElectricityMapsSource:
    """Every zone that the key may ask for: up to 72 hours ahead, and as far back as its plan goes."""

    def __init__(self, client: JsonClient, *, scope: Scope = Scope.LIFECYCLE, slot_s: int = DEFAULT_SLOT_S) -> None:
        self.name = INFO.name if scope is Scope.LIFECYCLE else f"{INFO.name}:{scope.value}"
        self.info = INFO.model_copy(update={"name": self.name, "scope": scope})
        self._client, self._slot_s = client, slot_s
        self._known_access: tuple[float, Access] | None = None
        self._refused: set[tuple[Zone, str]] = set()
        self._reach_h: dict[Zone, int] = {}
        self._earliest: dict[Zone, datetime] = {}

    def zones(self) -> Sequence[Zone]:
        return tuple(zone for zone in self._access() if any(self._may(zone, endpoint) for endpoint in ENDPOINTS))

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        self._check(zone)
        by_start = {value.row.start: value for value in self._past(zone, start, end)} if start < end else {}
        rows = [row for row in self._tidy(by_start.values()) if row.start < end and row.end > start]
        readings = (
            CarbonIntensity(
                start=row.start,
                end=row.end,
                intensity_g_per_kwh=row.intensity_g_per_kwh,
                origin=by_start[row.start].origin,
            )
            for row in rows
        )
        return series_of(zone, (), Origin.MEASURED, self.info).model_copy(update={"readings": tuple(readings)})

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        self._check(zone)
        if not self._may(zone, "forecast"):
            raise NotFound(f"this key has no forecast for {zone}", hint=_PLAN)
        grid = SlotGrid.covering(now, end, self._slot_s)
        answer = self._foretold(zone, -((now - grid.end) // HOUR))
        rows = self._tidy(self._values(answer, ("forecast", "data")))
        return forecast_from(
            rows, zone, grid, model="its forecast", info=self.info, now=now, where=self._client.base_url
        )

    def _foretold(self, zone: Zone, hours: int) -> Mapping[str, object]:
        """As far ahead as is wanted, or else as the key's plan reaches."""
        wanted_h = next((horizon for horizon in HORIZONS_H if horizon >= hours), HORIZONS_H[-1])
        reach_h, said = min(wanted_h, self._reach_h.get(zone, wanted_h)), ""
        for horizon_h in reversed([horizon for horizon in HORIZONS_H if horizon <= reach_h]):
            try:
                return self._ask(zone, "forecast", {"horizonHours": str(horizon_h)})
            except SourceRefused as refused:
                if refused.status not in _FORBIDDEN:
                    raise
                self._reach_h[zone] = max((horizon for horizon in HORIZONS_H if horizon < horizon_h), default=0)
                said = refused.what
        self._refused.add((zone, "forecast"))
        raise NotFound(f"this key has no forecast for {zone}: {said}", hint=_PLAN)

    def _past(self, zone: Zone, start: datetime, end: datetime) -> list[_Value]:
        if self._may(zone, "past-range"):
            try:
                return list(self._range(zone, start, end))
            except SourceRefused as refused:
                if refused.status not in _FORBIDDEN or not self._may(zone, "history"):
                    raise
                self._refused.add((zone, "past-range"))
        if self._may(zone, "history"):
            return self._last_day(zone, end)
        if self._may(zone, "latest"):
            return self._values({"data": [self._ask(zone, "latest")]}, ("data",))
        raise NotFound(f"this key has no past of {zone}", hint=_PLAN)

    def _last_day(self, zone: Zone, end: datetime) -> list[_Value]:
        """Nothing is asked about what lay before these 24 hours at an earlier time: it is gone for good."""
        if end <= self._earliest.get(zone, end - HOUR):
            return []
        values = self._values(self._ask(zone, "history"), ("data", "history"))
        self._earliest[zone] = min((value.row.start for value in values), default=end - HOUR)
        return values

    def _range(self, zone: Zone, start: datetime, end: datetime) -> Iterator[_Value]:
        for first, last in spans(floor_to(start, 3600), end, MAX_SPAN):
            span = {"start": iso(first), "end": iso(floor_to(last + HOUR - timedelta.resolution, 3600))}
            yield from self._values(self._ask(zone, "past-range", span), ("data", "history"))

    def _ask(self, zone: Zone, endpoint: str, params: Mapping[str, str] | None = None) -> Mapping[str, object]:
        answer = self._client.get(
            f"/carbon-intensity/{endpoint}",
            {
                "zone": zone,
                "disableCallerLookup": "true",
                "emissionFactorType": self.info.scope.value,
                "temporalGranularity": "hourly",
                **(params or {}),
            },
        )
        if not isinstance(answer, dict) or answer.get("zone") != zone:
            said = answer.get("zone") if isinstance(answer, dict) else answer
            raise SourceNonsense(f"asked for {zone}, answered for {said!r:.40}", where=self._client.base_url)
        return answer

    def _values(self, answer: Mapping[str, object], keys: Sequence[str]) -> list[_Value]:
        entries = next((answer[key] for key in keys if key in answer), None)
        if not isinstance(entries, list):
            raise SourceNonsense(f'the answer has no list "{keys[0]}"', where=self._client.base_url)
        step = _granularity(answer, self._client.base_url)
        return sound(entries, lambda entry: self._value(entry, step), self._client.base_url)

    def _value(self, entry: object, step: timedelta) -> _Value | None:
        where = self._client.base_url
        if not isinstance(entry, dict) or "carbonIntensity" not in entry:
            raise SourceNonsense(f"an entry without carbonIntensity: {entry!r:.80}", where=where)
        if entry.get("emissionFactorType", self.info.scope.value) != self.info.scope.value:
            raise SourceNonsense(f"asked for {self.info.scope}, got {entry['emissionFactorType']!r:.40}", where=where)
        start, intensity = moment_in(entry.get("datetime"), where), entry["carbonIntensity"]
        if intensity is None:
            return None
        row = Row(start, start + _granularity(entry, where, step), checked_intensity(intensity, where))
        return _Value(row, Origin.ESTIMATED if entry.get("isEstimated") else Origin.MEASURED)

    def _tidy(self, values: Iterable[_Value]) -> list[Row]:
        return tidy((value.row for value in values), self._client.base_url)

    def _check(self, zone: Zone) -> None:
        if zone not in self._access():
            raise NotFound(
                f"the source {self.name} has no zone {zone!r}", hint="`carbonq zones` lists those of the key"
            )

    def _may(self, zone: Zone, endpoint: str) -> bool:
        allowed = self._access().get(zone, frozenset())
        listed = allowed is None or f"carbon-intensity/{endpoint}" in allowed or "*" in allowed
        return listed and (zone, endpoint) not in self._refused

    def _access(self) -> Access:
        """What the key may ask, asked anew every few hours: plans change."""
        now_s = time.monotonic()
        if self._known_access is None or now_s - self._known_access[0] > ACCESS_HOLDS_S:
            self._known_access = now_s, _access_in(self._client.get("/zones"), self._client.base_url)
            self._refused.clear()
            self._reach_h.clear()
        return self._known_access[1]


def electricity_maps_client(url: str, key: str) -> JsonClient:
    """For the API below `url`, version included."""
    return JsonClient(url, credentials=Credentials(headers={"auth-token": key}))


def _access_in(answer: object, where: str) -> Access:
    if not isinstance(answer, dict) or not all(isinstance(entry, dict) for entry in answer.values()):
        raise SourceNonsense("the answer is no list of zones", where=where)
    return {zone: _allowed(entry.get("access"), where) for zone, entry in answer.items()}


def _allowed(access: object, where: str) -> frozenset[str] | None:
    if access is None:
        return None
    if not isinstance(access, list):
        raise SourceNonsense(f"{access!r:.80} is no list of what a key may ask", where=where)
    return frozenset(str(endpoint).removeprefix("/") for endpoint in access)


def _granularity(answer: Mapping[str, object], where: str, default: timedelta = HOUR) -> timedelta:
    said = answer.get("temporalGranularity")
    step = default if said is None else _GRANULARITIES.get(str(said))
    if step is None:
        raise SourceNonsense(f"a granularity of {said!r:.40}, which was not asked for", where=where)
    return step
