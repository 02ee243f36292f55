"""The models that a backtest can name: carbonq's own, the simple curves beside it, and a published forecast where one is given."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from carbonq.domain.errors import InvalidInput
from carbonq.forecasters.carbon.backtest import Contender
from carbonq.forecasters.carbon.models.baselines import PUBLISHED, LastWeek, Published, Typical, WeekMean, Yesterday
from carbonq.forecasters.carbon.models.series import CarbonModel, Features

DEFAULT = "carbonq"
MIXED = f"{DEFAULT}+{PUBLISHED}"
_CURVES: Mapping[str, Callable[[], CarbonModel]] = {
    Yesterday.name: Yesterday,
    LastWeek.name: LastWeek,
    WeekMean.name: WeekMean,
    Typical.name: Typical,
}
NAMES = (DEFAULT, MIXED, *_CURVES, PUBLISHED)


def contenders(
    names: Sequence[str],
    *,
    step_s: int,
    features: Sequence[Features] = (),
    published: Features | None = None,
) -> list[Contender]:
    """By name, in that order; no name means every one that can be made of what is given. Raises InvalidInput."""
    possible = [name for name in NAMES if published is not None or name not in (MIXED, PUBLISHED)]
    for name in names:
        if name not in NAMES:
            raise InvalidInput(f"no model {name!r}", where="--models", hint=f"one of {', '.join(possible)}")
        if name not in possible:
            raise InvalidInput(
                f"{name} needs a published forecast", where="--models", hint="name its file with --published"
            )
    return [_contender(name, step_s, tuple(features), published) for name in names or possible]


def _contender(name: str, step_s: int, features: tuple[Features, ...], published: Features | None) -> Contender:
    given = () if published is None else (published,)
    if name == PUBLISHED:
        return Contender(name, Published, given, refit=False)
    if name in _CURVES:
        return Contender(name, _CURVES[name], refit=False)
    return Contender(name, partial(_own, step_s), (*features, *given) if name == MIXED else features)


def _own(step_s: int) -> CarbonModel:
    from carbonq.forecasters.carbon.models.zone_model import ZoneModel

    return ZoneModel(step_s=step_s, remember=True)
