"""The WattTime API, version 3: login with tokens that run out, what a user may ask, forecast and history of the MOER."""

import base64
import math
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta

from carbonq.domain.time import floor_to
from carbonq.forecasters.carbon.testing.server import Answer, ProviderServer, Request, says

STEP_S = 300
STEP = timedelta(seconds=STEP_S)
MAX_SPAN = timedelta(days=32)


def duck_curve(moment: datetime) -> float | None:
    """A made-up marginal rate in pounds per MWh, below zero now and then as where wind is curtailed."""
    return round(600 + 650 * math.cos(moment.timestamp() / 86_400 * math.tau), 1)


class WattTimeServer(ProviderServer):
    """Knows `regions`. `now` parts past from future; `expire` makes every token given so far invalid."""

    def __init__(
        self,
        now: datetime,
        *,
        regions: Collection[str] = ("CAISO_NORTH", "PJM_DC"),
        moer: Callable[[datetime], float | None] = duck_curve,
        user: str = "a-user",
        password: str = "a-password",  # noqa: S107  # of a local server
    ) -> None:
        super().__init__(self.answer)
        self.now, self._regions, self._moer = now, regions, moer
        self._basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.logins = 0
        self._token = ""

    def expire(self) -> None:
        self._token = ""

    def answer(self, request: Request) -> Answer:
        authorization = request.headers.get("authorization", "")
        if request.path == "/login":
            return self._login(authorization)
        if not self._token or authorization != f"Bearer {self._token}":
            return error(401, "Could not validate credentials")
        if request.path == "/v3/my-access":
            return says({"signal_types": [self._access()]})
        asked = request.params
        if asked.get("region") not in self._regions:
            return error(403, "You do not have access to this region")
        match request.path:
            case "/v3/forecast":
                horizon_h = int(asked["horizon_hours"])
                if not 0 <= horizon_h <= 72:
                    return error(400, "horizon_hours must be from 0 to 72")
                first = floor_to(self.now, STEP_S)
                return data(asked["region"], self.points(first, first + timedelta(hours=horizon_h)))
            case "/v3/historical":
                start, end = _parse(asked["start"]), _parse(asked["end"])
                if end - start > MAX_SPAN:
                    return error(400, "the span must not exceed 32 days")
                return data(asked["region"], self.points(start, min(end, self.now - STEP)))
            case _:
                return error(404, "no such endpoint")

    def points(self, start: datetime, end: datetime) -> Iterator[dict[str, object]]:
        """Each five minutes from `start` to `end`, both included."""
        moment = floor_to(start + STEP - timedelta.resolution, STEP_S)
        while moment <= end:
            yield {"point_time": moment.isoformat(), "value": self._moer(moment)}
            moment += STEP

    def _login(self, authorization: str) -> Answer:
        self.logins += 1
        if authorization != self._basic:
            return error(401, "Incorrect username or password")
        self._token = f"a-token-{self.logins}"
        return says({"token": self._token})

    def _access(self) -> dict[str, object]:
        models = [{"model": "2026-03-01", "data_start": "2021-01-01", "train_start": None, "train_end": None}]
        endpoints = [{"endpoint": name, "models": models} for name in ("v3/forecast", "v3/historical")]
        regions = [{"region": name, "region_full_name": name, "endpoints": endpoints} for name in self._regions]
        return {"signal_type": "co2_moer", "regions": regions}


def data(region: str, points: object, **meta: object) -> Answer:
    """An answer with these points, for tests that spoil them."""
    plain: dict[str, object] = {
        "region": region,
        "signal_type": "co2_moer",
        "units": "lbs_co2_per_mwh",
        "data_point_period_seconds": STEP_S,
        "model": {"date": "2026-03-01"},
        "warnings": [],
    }
    return says({"data": list(points) if isinstance(points, Iterator) else points, "meta": plain | meta})


def error(status: int, message: str) -> Answer:
    return says({"detail": message}, status=status)


def _parse(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
