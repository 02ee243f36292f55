"""`world-average`: the last resort for a zone that nothing knows. One flat value, so that nothing waits for it.

480 g/kWh is the world's electricity in 2023 (Ember, Global Electricity Review 2024). The band is as wide as grids differ:
a tenth of the zones with a typical profile have a yearly mean below its low end, a tenth above its high end.
"""

from collections.abc import Sequence
from datetime import datetime

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, SourceInfo, Zone
from carbonq.domain.time import DEFAULT_SLOT_S, SlotGrid
from carbonq.forecasters.carbon.readings import Row, forecast_of, series_of

WORLD_G_PER_KWH, WORLD_LOW_G_PER_KWH, WORLD_HIGH_G_PER_KWH = 480.0, 65.0, 630.0
ATTRIBUTION = "world average of 2023, Ember, Global Electricity Review 2024 (CC BY 4.0)"


class WorldAverage:
    """Knows every zone and nothing about any."""

    name = "world-average"

    def __init__(self, *, slot_s: int = DEFAULT_SLOT_S) -> None:
        self._slot_s = slot_s
        self.info = SourceInfo(
            name=self.name,
            title="The world's average, for zones that nothing knows",
            horizon_s=366 * 86_400,
            licence="CC BY 4.0",
            attribution=ATTRIBUTION,
        )

    def zones(self) -> Sequence[Zone]:
        return ()

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        rows = [Row(start, end, WORLD_G_PER_KWH)] if end > start else []
        return series_of(zone, rows, Origin.MODELLED, self.info)

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        grid = SlotGrid.covering(now, end, self._slot_s)
        band = {"0.1": WORLD_LOW_G_PER_KWH, "0.5": WORLD_G_PER_KWH, "0.9": WORLD_HIGH_G_PER_KWH}
        return forecast_of(
            zone,
            grid,
            {name: (value,) * grid.slots for name, value in band.items()},
            model="flat world average, 2023",
            origin=Origin.MODELLED,
            info=self.info,
            now=now,
        )
