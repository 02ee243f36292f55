"""A zone's past from files, with what was known in advance; and the forecast made from it at one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import typer

from carbonq.cli.output import say, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from carbonq.cli.session import Session
    from carbonq.domain.carbon import Forecast
    from carbonq.forecasters.carbon.backtest import Contender, History
    from carbonq.forecasters.carbon.models.series import Features


class Past(NamedTuple):
    """What a person gave to forecast from, as it was written."""

    history: str | None
    at: str | None
    train_from: str | None
    features: tuple[str, ...]
    published: str | None


class Given(NamedTuple):
    """The files as read. `notes`: how their moments of issue were taken, for the person to judge."""

    history: History
    features: tuple[Features, ...]
    published: Features | None
    notes: tuple[str, ...]

    def contenders(self, names: Sequence[str]) -> list[Contender]:
        from carbonq.forecasters.carbon.contenders import contenders

        step_s = self.history.readings.step_s
        return contenders(names, step_s=step_s, features=self.features, published=self.published)


def read(
    here: Session, history: str, *, train_from: str | None, features: Sequence[str], published: str | None
) -> Given:
    """Raises InvalidInput with file and line, and OSError for a file that cannot be opened."""
    from pathlib import Path

    from carbonq.forecasters.carbon.feature_files import read_features, read_published
    from carbonq.forecasters.carbon.history_files import read_history

    zone = here.flags.get("zone")
    past = read_history(Path(history), zone=str(zone).upper() if zone else None)
    known = [read_features(Path(name), past.zone) for name in features]
    others = read_published(Path(published), past.zone) if published else None
    notes = [one.note for one in (*known, *((others,) if others else ())) if one.note]
    begin = moment(train_from, "--train-from") if train_from else None
    return Given(
        past.since(begin), tuple(one.features for one in known), others.features if others else None, tuple(notes)
    )


def compute_alike() -> None:
    """Before NumPy is loaded: one thread each, for sums over several come out a little different on another machine.

    So a forecast made alone has the very numbers that it has in a backtest, and processes don't fight for the cores.
    """
    import os

    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ.setdefault(name, "1")


def moment(text: str, flag: str, *, end_of_day: bool = False) -> datetime:
    """A date or a time; without a zone it is UTC. `end_of_day`: a date means all of that day. Raises InvalidInput."""
    from datetime import UTC, date, datetime, timedelta

    from carbonq.domain.errors import InvalidInput

    try:
        if len(text) == len("2021-07-01"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=int(end_of_day))
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        hint = "write a date such as 2021-07-01, or a time such as 2021-07-01T06:00:00Z"
        raise InvalidInput(f"{text[:40]!r} is neither a date nor a time", where=flag, hint=hint) from None


def forecast(here: Session, past: Past, model: str, hours: float, window_s: float | None, zone: str | None) -> None:
    """Print the forecast that was possible at a moment of the past."""
    compute_alike()
    from carbonq.cli import chart

    if past.history is None or past.at is None:
        raise typer.BadParameter("--history and --at go together: a file, and the moment to forecast at")
    at = moment(past.at, "--at")
    here.add_flags(zone=zone)
    given = read(here, past.history, train_from=past.train_from, features=past.features, published=past.published)
    found = forecast_at(given, model, at, hours, past.history)
    if here.json:
        write_json(found)
        return
    say(chart.forecast(found, at, hours, window_s))


def forecast_at(given: Given, model: str, at: datetime, hours: float, source: str) -> Forecast:
    """What `model` foresaw at the last whole step before `at`, as every other forecast is written."""
    import numpy as np

    from carbonq.domain.carbon import Forecast, Origin
    from carbonq.domain.errors import InvalidInput
    from carbonq.domain.time import SlotGrid
    from carbonq.forecasters.carbon.backtest import forecast_at
    from carbonq.forecasters.carbon.models.series import QUANTILES

    readings = given.history.readings
    (contender,) = given.contenders([model])
    start = readings.at(readings.step_of(at))
    values = forecast_at(given.history, contender, start, hours)
    if np.isnan(values).any():  # a published forecast that does not reach
        hint = "ask for fewer hours, or for an earlier moment"
        raise InvalidInput(f"{model} has no forecast for all of these hours", where="--model", hint=hint)
    return Forecast(
        zone=given.history.zone,
        source=f"file {source}",
        model=model,
        origin=Origin.FORECAST,
        issued_at=at,
        fetched_at=at,
        grid=SlotGrid(start=start, slot_s=readings.step_s, slots=values.shape[1]),
        quantiles_g_per_kwh={str(p): tuple(row) for p, row in zip(QUANTILES, values.tolist(), strict=True)},
        readings_until=readings.before(start).end,
        notes=given.notes,
    )
