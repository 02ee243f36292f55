"""What every provider without a key may do to us: refuse, hurry, break, or answer with another's page."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from carbonq.domain.errors import SourceNonsense, SourceRefused, SourceUnreachable
from carbonq.domain.ports import IntensitySource
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.sources.carbon_aware_sdk import CarbonAwareSdkSource
from carbonq.forecasters.carbon.sources.energy_charts import EnergyChartsSource
from carbonq.forecasters.carbon.sources.energy_charts_mix import EnergyChartsMixSource
from carbonq.forecasters.carbon.sources.rte import RteSource
from carbonq.forecasters.carbon.sources.uk import UkSource
from carbonq.forecasters.carbon.testing.carbon_aware_sdk import CarbonAwareSdkServer
from carbonq.forecasters.carbon.testing.energy_charts import EnergyChartsServer
from carbonq.forecasters.carbon.testing.rte import RteServer
from carbonq.forecasters.carbon.testing.server import Answer, ProviderServer, says
from carbonq.forecasters.carbon.testing.uk import UkServer

NOW = datetime(2026, 7, 6, 9, 10, tzinfo=UTC)
DAY = timedelta(days=1)


class Case(NamedTuple):
    source: IntensitySource
    zone: str
    server: ProviderServer
    naps: list[float]


MAKERS: dict[str, tuple[Callable[[], ProviderServer], Callable[[JsonClient], IntensitySource], str]] = {
    "uk": (lambda: UkServer(NOW), UkSource, "GB"),
    "uk, a region": (lambda: UkServer(NOW), UkSource, "GB-SCT"),
    "energy-charts": (lambda: EnergyChartsServer(NOW, NOW + DAY), EnergyChartsSource, "DE"),
    "energy-charts:direct": (lambda: EnergyChartsServer(NOW, NOW), EnergyChartsMixSource, "DE"),
    "rte": (lambda: RteServer(NOW), RteSource, "FR"),
    "carbon-aware-sdk": (lambda: CarbonAwareSdkServer(NOW), CarbonAwareSdkSource, "EASTUS"),
}


@pytest.fixture(params=MAKERS)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    make_server, make_source, zone = MAKERS[request.param]
    naps: list[float] = []
    with ExitStack() as stack:
        server = stack.enter_context(make_server())
        source = make_source(JsonClient(server.url, sleep=naps.append))
        source.zones()  # a server's list of locations is not what fails here
        yield Case(source, zone, server, naps)


def readings(case: Case) -> int:
    return len(case.source.history(case.zone, NOW - DAY, NOW).readings)


@pytest.mark.parametrize("status", [401, 403, 404, 418])
def test_a_refusal_is_told_and_not_asked_again(case: Case, status: int) -> None:
    case.server.faults.append(says({"message": "not for you"}, status=status))
    before = len(case.server.requests)
    with pytest.raises(SourceRefused, match=f"{status}: not for you") as caught:
        readings(case)
    assert caught.value.status == status
    assert caught.value.where.startswith(case.server.url)
    assert len(case.server.requests) == before + 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_provider_is_asked_again_when_it_says(case: Case, status: int) -> None:
    usual = readings(case)
    case.server.faults.append(says({}, ("Retry-After", "9"), status=status))
    assert readings(case) == usual
    assert case.naps == [9.0]


def test_a_provider_that_stays_broken_is_given_up(case: Case) -> None:
    case.server.faults += [Answer(status=500, body=b"<h1>Internal Server Error</h1>")] * 3
    with pytest.raises(SourceUnreachable, match="500"):
        readings(case)
    assert case.naps == [1.0, 2.0]


def test_a_body_cut_off_half_way_is_asked_for_again(case: Case) -> None:
    usual = readings(case)
    case.server.faults.append(Answer(body=b'{"data": [', promised_b=10_000))
    assert readings(case) == usual


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html><body>Sign in</body></html>",
        b"",
        b"null",
        b"7",
        b'"x"',
        b"[[]]",
        b'{"data": 7}',
        b"[" * 99_999,
    ],
    ids=lambda body: f"{body[:20]!r}",
)
def test_what_is_not_documented_is_nonsense_with_its_address(case: Case, body: bytes) -> None:
    case.server.faults.append(Answer(body=body))
    with pytest.raises(SourceNonsense) as caught:
        readings(case)
    assert caught.value.where.startswith(case.server.url)
    assert case.naps == []


def test_what_has_not_changed_is_not_sent_again(case: Case) -> None:
    case.server.validates = True
    first = case.source.history(case.zone, NOW - DAY, NOW)
    asked = len(case.server.requests)
    assert case.source.history(case.zone, NOW - DAY, NOW) == first
    assert all("if-none-match" in request.headers for request in case.server.requests[asked:])


def test_a_source_says_what_it_is(case: Case) -> None:
    info = case.source.info
    assert case.source.name == info.name
    assert info.terms_url.startswith("https://")
    assert info.key_setting is None
    assert info.licence
    assert info.attribution in case.source.history(case.zone, NOW - DAY, NOW).attribution
