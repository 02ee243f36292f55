"""`watttime`: the marginal operating emissions rate (MOER) of WattTime's API, version 3. User and password.

Marginal: what one kWh more would emit, from the plants that follow the load, imports included. CO2 alone (not CO2-equivalent)
and from the stacks alone, hence direct (https://watttime.org/data-science/data-signals/marginal-co2). In pounds per MWh, five
minutes each; it may be negative. Never to be mixed with averages.

Zones are WattTime's own regions, as far as `GET /v3/my-access` lists them for the user: free users have `CAISO_NORTH`. No
other names are mapped onto them, for its regions are parts of the balancing authorities. A login holds 30 minutes.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, Scope, SignalKind, SourceInfo, Zone
from carbonq.domain.errors import NotFound, SourceNonsense, SourceRefused
from carbonq.domain.time import DEFAULT_SLOT_S, SlotGrid, floor_to, iso
from carbonq.forecasters.carbon.credentials import Credentials
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.readings import (
    Row,
    checked_intensity,
    forecast_from,
    moment_in,
    overlapping,
    series_of,
    sound,
    spans,
    tidy,
)

INFO = SourceInfo(
    name="watttime",
    title="WattTime, marginal emissions",
    signal=SignalKind.MARGINAL,
    scope=Scope.DIRECT,
    resolution_s=300,
    horizon_s=72 * 3600,
    lag_s=300,
    licence="proprietary; for the user under the terms of its plan",
    attribution="WattTime (watttime.org), CO2 MOER",
    terms_url="https://docs.watttime.org",
    key_setting="watttime_password",
)
SIGNAL = "co2_moer"
UNITS = "lbs_co2_per_mwh"
G_PER_KWH = 0.45359237
"""Of one pound per MWh: the international pound is 453.59237 g by definition."""

HORIZON_H = "72"  # counted from the API's own present, so always the longest: our clock may differ
MAX_SPAN = timedelta(days=30)  # the API's limit is 32
ACCESS_HOLDS_S = 6 * 3600.0
LOGIN_PAUSE_S = 300.0
"""How long a refused login is not tried again: of logins the API bears 100 in five minutes."""


class WattTimeSource:
    """The regions that the user may ask for: 72 hours ahead, and years back."""

    name = INFO.name

    def __init__(self, client: JsonClient, *, slot_s: int = DEFAULT_SLOT_S) -> None:
        self._client, self._slot_s = client, slot_s
        self._known_regions: tuple[float, tuple[Zone, ...]] | None = None
        self.info = INFO

    def zones(self) -> Sequence[Zone]:
        """Asked anew every few hours: plans change."""
        now_s = time.monotonic()
        if self._known_regions is None or now_s - self._known_regions[0] > ACCESS_HOLDS_S:
            self._known_regions = now_s, _regions(self._client.get("/v3/my-access"), self._client.base_url)
        return self._known_regions[1]

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        self._check(zone)
        rows = [
            row
            for first, last in spans(floor_to(start, 300), end, MAX_SPAN)
            for row in self._ask("/v3/historical", zone, {"start": iso(first), "end": iso(last)})
        ]
        wanted = overlapping(tidy(rows, self._client.base_url), start, end)
        return series_of(zone, wanted, Origin.MEASURED, self.info)

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        self._check(zone)
        grid = SlotGrid.covering(now, end, self._slot_s)
        rows = tidy(self._ask("/v3/forecast", zone, {"horizon_hours": HORIZON_H}), self._client.base_url)
        return forecast_from(rows, zone, grid, model=SIGNAL, info=self.info, now=now, where=self._client.base_url)

    def _ask(self, path: str, zone: Zone, params: Mapping[str, str]) -> list[Row]:
        where = self._client.base_url + path
        answer = self._client.get(path, {"region": zone, "signal_type": SIGNAL, **params})
        points = answer.get("data") if isinstance(answer, dict) else None
        meta = answer.get("meta") if isinstance(answer, dict) else None
        if not isinstance(points, list) or not isinstance(meta, dict):
            raise SourceNonsense('the answer has no list "data" with its "meta"', where=where)
        step = _checked_step(meta, zone, where)
        return sound(points, lambda point: _row(point, step, where), where)

    def _check(self, zone: Zone) -> None:
        if zone not in self.zones():
            raise NotFound(
                f"the source watttime has no zone {zone!r} for this user",
                hint="its zones are WattTime's regions; `carbonq zones` lists those of the user",
            )


def watttime_client(url: str, user: str, password: str) -> JsonClient:
    """Logs in before the first question, and again when the token has run out."""
    return JsonClient(url, renew=_Login(url, user, password), read_timeout_s=30.0, answer_timeout_s=60.0)


class _Login:
    """Fetches a token. One refusal stands for a while: who mistyped the password is not locked out by our insistence."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._client = JsonClient(url, credentials=Credentials.basic(user, password))
        self._refused: tuple[float, SourceRefused] | None = None

    def __call__(self) -> Credentials:
        if self._refused is not None and time.monotonic() - self._refused[0] < LOGIN_PAUSE_S:
            raise self._refused[1].with_traceback(None)
        try:
            answer = self._client.get("/login")
        except SourceRefused as refused:
            self._refused = time.monotonic(), refused
            raise
        token = answer.get("token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise SourceNonsense("the login has no token", where=f"{self._client.base_url}/login")
        return Credentials.bearer(token)


def _regions(answer: object, where: str) -> tuple[Zone, ...]:
    """Those of the signal, from `{"signal_types": [{"signal_type": ..., "regions": [{"region": ...}]}]}`."""
    try:
        signals = answer["signal_types"]  # type: ignore[index]  # whatever is wrong with it, it is told below
        return tuple(
            str(region["region"])
            for signal in signals
            if signal["signal_type"] == SIGNAL
            for region in signal["regions"]
        )
    except (LookupError, TypeError):
        raise SourceNonsense("the answer is no list of regions", where=f"{where}/v3/my-access") from None


def _checked_step(meta: Mapping[str, object], zone: Zone, where: str) -> timedelta:
    """The length of a point. Raises SourceNonsense for another region, signal or unit than was asked for."""
    for name, asked in (("region", zone), ("signal_type", SIGNAL), ("units", UNITS)):
        if meta.get(name) != asked:
            raise SourceNonsense(f"{name} is {meta.get(name)!r:.60}, not {asked}", where=where)
    seconds = meta.get("data_point_period_seconds", INFO.resolution_s)
    if not isinstance(seconds, int) or not 0 < seconds <= 3600:
        raise SourceNonsense(f"points of {seconds!r:.60} seconds", where=where)
    return timedelta(seconds=seconds)


def _row(point: object, step: timedelta, where: str) -> Row | None:
    if not isinstance(point, dict) or "value" not in point:
        raise SourceNonsense(f"a point without value: {point!r:.80}", where=where)
    value = point["value"]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SourceNonsense(f"{value!r:.80} is no emissions rate", where=where)
    start = moment_in(point.get("point_time"), where)
    return Row(start, start + step, checked_intensity(value * G_PER_KWH, where))
