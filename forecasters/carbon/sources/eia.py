"""`eia`: generation by fuel of the US balancing authorities, hour by hour, as the Energy Information Administration publishes
it (form EIA-930, API v2), turned into lifecycle intensity. Free key.

A period is the UTC hour at whose *end* it is stamped (https://www.eia.gov/electricity/gridmonitor/about: hour-ending
convention). Values come as numbers, as strings or null. Authorities report about a day late and not all fuels at once:
an hour counts once every fuel that runs is there. No forecast of the mix is published.

Zones are the balancing authorities as `US-CAL-CISO` or by their own code alone, `CISO`. Two known slips of the data are left
as they are: the nuclear plants V. C. Summer and Palo Verde are booked at one of their two owners' authorities.
The fuel codes SNB, WNB, OES, UES and UNK are taken from EIA's list of energy sources of July 2024 and were not seen in answers.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, Scope, SourceInfo, Zone
from carbonq.domain.errors import NotFound, SourceNonsense
from carbonq.domain.time import floor_to
from carbonq.forecasters.carbon.credentials import Credentials
from carbonq.forecasters.carbon.generation import DAY, Fuel, intensity_rows
from carbonq.forecasters.carbon.http import JsonClient, Params
from carbonq.forecasters.carbon.readings import overlapping, series_of, sound

PATH = "/electricity/rto/fuel-type-data/data/"
INFO = SourceInfo(
    name="eia",
    title="US Energy Information Administration, hourly generation by fuel",
    scope=Scope.LIFECYCLE,
    resolution_s=3600,
    lag_s=86_400,
    licence="public domain",
    attribution="US Energy Information Administration, form EIA-930; intensity by IPCC AR5 factors, production-based",
    terms_url="https://www.eia.gov/about/copyrights_reuse.php",
    key_setting="eia_key",
)
FUELS = {
    "COL": Fuel.COAL,
    "NG": Fuel.GAS,
    "OIL": Fuel.OIL,
    "NUC": Fuel.NUCLEAR,
    "WAT": Fuel.HYDRO,
    "WND": Fuel.WIND,
    "WNB": Fuel.WIND,  # with a battery beside it
    "SUN": Fuel.SOLAR,
    "SNB": Fuel.SOLAR,  # with a battery beside it
    "BM": Fuel.BIOMASS,
    "GEO": Fuel.GEOTHERMAL,
    "OTH": Fuel.OTHER,
    "UNK": Fuel.OTHER,
    "PS": Fuel.STORAGE,
    "BAT": Fuel.STORAGE,
    "OES": Fuel.STORAGE,
    "UES": Fuel.STORAGE,
}
_AUTHORITIES = {
    "CAL": "BANC CISO IID LDWP TIDC",
    "CAR": "CPLE CPLW DUK SC SCEG",
    "CENT": "SPA SWPP",
    "FLA": "FMPP FPC FPL GVL JEA SEC TAL TEC",
    "MIDA": "PJM",
    "MIDW": "AECI LGEE MISO",
    "NE": "ISNE",
    "NW": "AVA BPAT CHPD DOPD GCPD IPCO NEVP NWMT PACE PACW PGE PSCO PSEI SCL TPWR WACM WAUW",
    "NY": "NYIS",
    "SE": "SEPA SOCO",
    "SW": "AZPS EPE PNM SRP TEPC WALC",
    "TEN": "TVA",
    "TEX": "ERCO",
}
RESPONDENTS = {
    "US": "US48",  # all of them: the contiguous states
    **{f"US-{region}-{code}": code for region, codes in _AUTHORITIES.items() for code in codes.split()},
}
"""Each authority by the zone code that Electricity Maps gave it."""

PAGE_ROWS = 5000
MAX_PAGES = 400
HOUR = timedelta(hours=1)


class EiaSource:
    """Years back, a day late; no forecast."""

    name = "eia"

    def __init__(self, client: JsonClient) -> None:
        self._client = client
        self.info = INFO

    def zones(self) -> Sequence[Zone]:
        return tuple(RESPONDENTS)

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        respondent = respondent_of(zone)
        if start >= end:
            return series_of(zone, (), Origin.MEASURED, self.info)
        by_hour: dict[datetime, dict[str, float | None]] = {}
        for hour, fuel, value in self._rows(respondent, start - DAY, end):  # a day more, to know which fuels run
            by_hour.setdefault(hour, {})[fuel] = value
        rows = intensity_rows(by_hour, FUELS, HOUR, self.info.scope, whose=f"eia for {zone}")
        return series_of(zone, overlapping(rows, start, end), Origin.MEASURED, self.info)

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:  # noqa: ARG002  # the port's arguments
        respondent_of(zone)
        raise NotFound("the source eia publishes no forecast", hint="its history serves the model that carbonq fits")

    def _rows(self, respondent: str, start: datetime, end: datetime) -> Iterator[tuple[datetime, str, float | None]]:
        """Each value with the start of its hour and its fuel's code."""
        params: dict[str, str] = {
            "frequency": "hourly",
            "data[0]": "value",
            "facets[respondent][]": respondent,
            "start": _period(floor_to(start, 3600) + HOUR),
            "end": _period(floor_to(end - timedelta.resolution, 3600) + HOUR),
            "sort[0][column]": "period",
            "sort[0][direction]": "asc",
            "length": str(PAGE_ROWS),
        }
        for page in range(MAX_PAGES):
            entries = self._ask(params | {"offset": str(page * PAGE_ROWS)})
            yield from sound(
                entries, lambda entry: _row(entry, respondent, self._client.base_url), self._client.base_url
            )
            if len(entries) < PAGE_ROWS:
                return
        raise SourceNonsense(f"more than {MAX_PAGES} pages", where=self._client.base_url)

    def _ask(self, params: Params) -> Sequence[object]:
        answer = self._client.get(PATH, params)
        inner = answer.get("response") if isinstance(answer, dict) else None
        entries = inner.get("data") if isinstance(inner, dict) else None
        if not isinstance(entries, list):
            raise SourceNonsense('the answer has no list "response.data"', where=self._client.base_url)
        return entries


def eia_client(url: str, key: str) -> JsonClient:
    """For the API below `url`, version included. A page of 5,000 rows takes the API some seconds."""
    return JsonClient(url, credentials=Credentials(params={"api_key": key}), read_timeout_s=30.0, answer_timeout_s=60.0)


def respondent_of(zone: Zone) -> str:
    """The authority's own code. Raises NotFound."""
    code = RESPONDENTS.get(zone, zone)
    if code not in RESPONDENTS.values():
        raise NotFound(
            f"the source eia has no zone {zone!r}", hint="it has US balancing authorities, such as US-CAL-CISO or CISO"
        )
    return code


def _row(entry: object, respondent: str, where: str) -> tuple[datetime, str, float | None]:
    if not isinstance(entry, dict) or not isinstance(fuel := entry.get("fueltype"), str):
        raise SourceNonsense(f"an entry without a fuel: {entry!r:.80}", where=where)
    if entry.get("respondent") != respondent:
        raise SourceNonsense(f"asked for {respondent}, answered for {entry.get('respondent')!r:.20}", where=where)
    if entry.get("value-units", "megawatthours") != "megawatthours":
        raise SourceNonsense(f"values in {entry['value-units']!r:.40}, not in megawatthours", where=where)
    return _hour(entry.get("period"), where), fuel, _value(entry.get("value"), where)


def _period(moment: datetime) -> str:
    """How the API writes the UTC hour that ends at a moment."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H")


def _hour(period: object, where: str) -> datetime:
    """The start of a period's hour. One with an offset is local time, which was not asked for."""
    try:
        return datetime.strptime(str(period), "%Y-%m-%dT%H").replace(tzinfo=UTC) - HOUR
    except ValueError:
        raise SourceNonsense(f'"period" is no hour in UTC: {period!r:.80}', where=where) from None


def _value(value: object, where: str) -> float | None:
    if value is None:
        return None
    try:
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise SourceNonsense(f"{value!r:.80} is no generation", where=where)
