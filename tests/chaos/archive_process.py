"""A process that adds to the archive in `argv[1]` until it is stopped, telling each addition on its standard output.

`endless`: one reading after another, with a revision of the one before, folding now and then.
`hold`: takes the lock and keeps it.
"""

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from carbonq.domain.carbon import CarbonIntensity, IntensitySeries, Origin
from carbonq.forecasters.carbon.archive import Archive, SeriesKey
from carbonq.forecasters.carbon.archive.files import locked

START, HOUR = datetime(2025, 12, 20, tzinfo=UTC), timedelta(hours=1)
KEY = SeriesKey("uk", "GB")


def series(first: int, *values: float) -> IntensitySeries:
    readings = (
        CarbonIntensity(
            start=START + index * HOUR,
            end=START + (index + 1) * HOUR,
            intensity_g_per_kwh=value,
            origin=Origin.MEASURED,
        )
        for index, value in enumerate(values, first)
    )
    return IntensitySeries(zone="GB", source="uk", readings=tuple(readings))


def main(folder: Path, what: str) -> None:
    archive = Archive(folder)
    if what == "hold":
        with locked(folder / "readings" / ".lock", 5):
            print("held", flush=True)
            time.sleep(600)
    first = len(archive.series(KEY, START, START + 9000 * HOUR).readings)
    for index in range(first, 8000):
        # the reading before is confirmed by another value: both must outlast whatever comes
        rows = series(index - 1, index - 0.5, index) if index else series(0, 0)
        archive.add(rows, START + (index + 1) * HOUR)
        print(index, flush=True)
        if index % 25 == 0:
            archive.compact()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
