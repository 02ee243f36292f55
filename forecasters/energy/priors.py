"""What a job draws when nothing is known but what it asks for: rated power times the share of it that training jobs use.

Rated GPU power is from the makers' datasheets (the SXM or OAM form where a model has several). The share is measured: of 150
training jobs on A40, P100 and RTX 6000 at full power limit, the middle one drew 0.63 of the limit, a tenth below 0.21 and a
tenth above 0.90 (Zeus, NSDI'23, power tables). A CPU slot is one hardware thread at full load: 1.6 to 6.0 W over server
processors (Cloud Carbon Footprint coefficients, from SPECpower); desktop cores draw up to twice that.
"""

from functools import cache

from carbonq.domain.energy import Quantity
from carbonq.domain.job import Requirement

GPU_RATED_W = {
    "b200": 1000.0,
    "h200": 700.0,
    "h100": 700.0,
    "h100 pcie": 350.0,
    "a100": 400.0,
    "a100-pcie": 300.0,
    "a40": 300.0,
    "a30": 165.0,
    "a10": 150.0,
    "l40s": 350.0,
    "l40": 300.0,
    "l4": 72.0,
    "t4": 70.0,
    "v100": 300.0,
    "p100": 250.0,
    "k80": 300.0,
    "rtx 6000": 260.0,
    "rtx 6000 ada": 300.0,
    "rtx a6000": 300.0,
    "rtx a5000": 230.0,
    "rtx a4000": 140.0,
    "5090": 575.0,
    "4090": 450.0,
    "4080": 320.0,
    "4070": 200.0,
    "3090": 350.0,
    "3080": 320.0,
    "3070": 220.0,
    "2080 ti": 250.0,
    "1080 ti": 250.0,
    "mi300x": 750.0,
    "mi250": 500.0,
}
"""Board power in watts by a part of the model's name, lower case. The longest part that fits counts."""
UNKNOWN_GPU_W = 300.0
GPU_SHARE = Quantity(p10=0.21, p50=0.63, p90=0.90)
CPU_SLOT_W = Quantity(p10=1.6, p50=4.0, p90=12.0)


GPU_LEAST_W, HOST_LEAST_W = 3.0, 0.5
"""Below what any board or machine draws while it works: a bound, no estimate."""
GPU_OVER_LIMIT = 1.1  # boards exceed their limit for moments, by some percent
HOST_MOST_W = 1000.0  # two server sockets with their memory: 2 x 400 W and 200 W


def gpu_rated_w(model: str | None) -> float:
    return known_rated_w(model or "") or UNKNOWN_GPU_W


@cache
def known_rated_w(model: str) -> float | None:
    """None where the table has no such model. `RTX6000` and `Quadro RTX 6000` are the same one."""
    names = (model.lower(), _joined(model))
    fits = [part for part in GPU_RATED_W if part in names[0] or _joined(part) in names[1]]
    return GPU_RATED_W[max(fits, key=len)] if fits else None


def drawable_w(gpus: int, gpu_model: str, power_limit_w: float | None) -> tuple[float, float]:
    """The least and the most that GPUs of this model can draw, with the machine around them."""
    board_w = power_limit_w or known_rated_w(gpu_model) or max(GPU_RATED_W.values())
    return gpus * GPU_LEAST_W + HOST_LEAST_W, gpus * board_w * GPU_OVER_LIMIT + HOST_MOST_W


def _joined(name: str) -> str:
    return name.lower().replace(" ", "").replace("-", "")


def prior_power_w(need: Requirement) -> Quantity:
    """The draw in watts of the GPUs and CPU slots asked for. The bands are added: parts of one job err alike."""
    gpus_w = need.gpus * gpu_rated_w(need.gpu_model)
    low, middle, high = (
        gpus_w * share + need.cpus * slot_w
        for share, slot_w in (
            (GPU_SHARE.p10, CPU_SLOT_W.p10),
            (GPU_SHARE.p50, CPU_SLOT_W.p50),
            (GPU_SHARE.p90, CPU_SLOT_W.p90),
        )
    )
    return Quantity(p10=low, p50=middle, p90=high)
