"""What the carbon signal costs on the way of `carbonq submit`: `python benchmarks/carbon_lookup.py` prints one JSON object.

Imports are timed in fresh processes (median of 7), lookups in one process after the import.
"""

import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from carbonq.forecasters.carbon.outlook import Outlook
from carbonq.forecasters.carbon.registry import make_source

NOW = datetime(2026, 7, 6, 9, 10, tzinfo=UTC)
DAY = timedelta(days=1)
YEAR_H = 365 * 24
IMPORTS = {
    "import_domain_ms": "import carbonq.domain.ports",
    "import_outlook_ms": "import carbonq.forecasters.carbon.outlook, carbonq.forecasters.carbon.registry",
    "import_requests_ms": "import requests",
}


def milliseconds(work: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    work()
    return round((time.perf_counter() - start_s) * 1000, 2)


def process_ms(code: str) -> float:
    """Median over fresh processes, the interpreter's own start included."""
    return median(milliseconds(lambda: subprocess.run([sys.executable, "-c", code], check=True)) for _ in range(7))


def write_year(folder: Path) -> None:
    rows = [f"{(NOW + timedelta(hours=hour - YEAR_H // 2)).isoformat()},{hour % 500}" for hour in range(YEAR_H)]
    text = "\n".join(["timestamp,carbon_intensity_gco2_per_kwh", *rows])
    (folder / "FR.csv.gz").write_bytes(gzip.compress(text.encode()))


def main() -> None:
    typical = Outlook([make_source("typical")])
    figures = {
        "typical_first_ms": milliseconds(lambda: typical.forecast("FR", NOW, NOW + DAY)),
        "typical_next_zone_ms": milliseconds(lambda: typical.forecast("DE", NOW, NOW + DAY)),
        "typical_same_zone_ms": milliseconds(lambda: typical.forecast("DE", NOW, NOW + DAY)),
        "typical_14_days_ms": milliseconds(lambda: typical.forecast("DE", NOW, NOW + 14 * DAY)),
    }
    with tempfile.TemporaryDirectory() as folder:
        write_year(Path(folder))
        files = Outlook([make_source(f"csv:{folder}")])
        figures["csv_year_first_ms"] = milliseconds(lambda: files.forecast("FR", NOW, NOW + DAY))
        figures["csv_year_again_ms"] = milliseconds(lambda: files.forecast("FR", NOW, NOW + DAY))
    print(json.dumps(figures | {name: process_ms(code) for name, code in IMPORTS.items()}, indent=2))


if __name__ == "__main__":
    main()
