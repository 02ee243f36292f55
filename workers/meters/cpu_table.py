"""CPUs by name, with their rated power: what is known of a processor before anything has been measured on it.

Each row is what the maker states of one package: cores, hardware threads, thermal design power. From Intel's product
database (https://www.intel.com/content/www/us/en/ark.html) and AMD's (https://www.amd.com/en/products/specifications.html);
the makers publish nothing of the parts that are built for one cloud alone: those rows say where theirs are from.
"""

import re
from typing import NamedTuple

INTEL = "Intel product specifications"
AMD = "AMD product specifications"
CODECARBON = "codecarbon, data/hardware/cpu_power.csv (the maker publishes nothing)"


class Cpu(NamedTuple):
    """One package. `name` is what /proc/cpuinfo says of it, without the trimmings."""

    name: str
    cores: int
    threads: int
    rated_w: float
    source: str

    @property
    def rated_w_per_thread(self) -> float:
        return self.rated_w / self.threads


TABLE: tuple[Cpu, ...] = tuple(
    Cpu(name, cores, threads, rated_w, source)
    for source, rows in {
        INTEL: (
            ("Xeon E3-1240 V2", 4, 8, 69),
            ("Xeon E5-2620 v3", 6, 12, 85),
            ("Xeon E5-2630 v3", 8, 16, 85),
            ("Xeon E5-2670 v3", 12, 24, 120),
            ("Xeon E5-2680 v3", 12, 24, 120),
            ("Xeon E5-2690 v3", 12, 24, 135),
            ("Xeon E5-2620 v4", 8, 16, 85),
            ("Xeon E5-2630 v4", 10, 20, 85),
            ("Xeon E5-2640 v4", 10, 20, 90),
            ("Xeon E5-2650 v4", 12, 24, 105),
            ("Xeon E5-2680 v4", 14, 28, 120),
            ("Xeon E5-2690 v4", 14, 28, 135),
            ("Xeon E5-2697 v4", 18, 36, 145),
            ("Xeon E5-2698 v4", 20, 40, 135),
            ("Xeon E5-2699 v4", 22, 44, 145),
            ("Xeon Silver 4110", 8, 16, 85),
            ("Xeon Silver 4210R", 10, 20, 100),
            ("Xeon Silver 4214", 12, 24, 85),
            ("Xeon Silver 4310", 12, 24, 120),
            ("Xeon Silver 4314", 16, 32, 135),
            ("Xeon Gold 6130", 16, 32, 125),
            ("Xeon Gold 6148", 20, 40, 150),
            ("Xeon Gold 6226R", 16, 32, 150),
            ("Xeon Gold 6230", 20, 40, 125),
            ("Xeon Gold 6240R", 24, 48, 165),
            ("Xeon Gold 6248R", 24, 48, 205),
            ("Xeon Gold 6326", 16, 32, 185),
            ("Xeon Gold 6330", 28, 56, 205),
            ("Xeon Gold 6338", 32, 64, 205),
            ("Xeon Gold 6342", 24, 48, 230),
            ("Xeon Gold 6348", 28, 56, 235),
            ("Xeon Gold 6430", 32, 64, 270),
            ("Xeon Gold 6448Y", 32, 64, 225),
            ("Xeon Platinum 8160", 24, 48, 150),
            ("Xeon Platinum 8168", 24, 48, 205),
            ("Xeon Platinum 8176", 28, 56, 165),
            ("Xeon Platinum 8268", 24, 48, 205),
            ("Xeon Platinum 8280", 28, 56, 205),
            ("Xeon Platinum 8358", 32, 64, 250),
            ("Xeon Platinum 8380", 40, 80, 270),
            ("Xeon Platinum 8462Y+", 32, 64, 300),
            ("Xeon Platinum 8468", 48, 96, 350),
            ("Xeon Platinum 8470", 52, 104, 350),
            ("Xeon Platinum 8480+", 56, 112, 350),
            ("Xeon Platinum 8490H", 60, 120, 350),
            ("Xeon Platinum 8592+", 64, 128, 350),
            ("Xeon W-2145", 8, 16, 140),
            ("Xeon W-2245", 8, 16, 155),
            ("Xeon W-3275", 28, 56, 205),
            ("Core i7-8700", 6, 12, 65),
            ("Core i7-9700K", 8, 8, 95),
            ("Core i9-9900K", 8, 16, 95),
            ("Core i7-10700", 8, 16, 65),
            ("Core i9-10900K", 10, 20, 125),
        ),
        AMD: (
            ("EPYC 7302", 16, 32, 155),
            ("EPYC 7402", 24, 48, 180),
            ("EPYC 7452", 32, 64, 155),
            ("EPYC 7502", 32, 64, 180),
            ("EPYC 7551", 32, 64, 180),
            ("EPYC 7742", 64, 128, 225),
            ("EPYC 7H12", 64, 128, 280),
            ("EPYC 7313", 16, 32, 155),
            ("EPYC 7413", 24, 48, 180),
            ("EPYC 7443P", 24, 48, 200),
            ("EPYC 7513", 32, 64, 200),
            ("EPYC 7543", 32, 64, 225),
            ("EPYC 7543P", 32, 64, 225),
            ("EPYC 7713", 64, 128, 225),
            ("EPYC 7763", 64, 128, 280),
            ("EPYC 8024P", 8, 16, 90),
            ("EPYC 9124", 16, 32, 200),
            ("EPYC 9334", 32, 64, 210),
            ("EPYC 9354", 32, 64, 280),
            ("EPYC 9374F", 32, 64, 320),
            ("EPYC 9554", 64, 128, 360),
            ("EPYC 9654", 96, 192, 360),
            ("EPYC 9754", 128, 256, 360),
            ("EPYC 9965", 192, 384, 500),
            ("Ryzen 7 3700X", 8, 16, 65),
            ("Ryzen 9 3900X", 12, 24, 105),
            ("Ryzen 9 3950X", 16, 32, 105),
            ("Ryzen 7 5800X", 8, 16, 105),
            ("Ryzen 9 5900X", 12, 24, 105),
            ("Ryzen 9 5950X", 16, 32, 105),
            ("Ryzen 7 7700X", 8, 16, 105),
            ("Ryzen 9 7950X", 16, 32, 170),
            ("Ryzen 9 9950X", 16, 32, 170),
            ("Ryzen Threadripper 1950X", 16, 32, 180),
            ("Ryzen Threadripper 3970X", 32, 64, 280),
            ("Ryzen Threadripper 3990X", 64, 128, 280),
            ("Ryzen Threadripper PRO 3975WX", 32, 64, 280),
            ("Ryzen Threadripper PRO 5965WX", 24, 48, 280),
            ("Ryzen Threadripper PRO 5975WX", 32, 64, 280),
            ("Ryzen Threadripper PRO 5995WX", 64, 128, 280),
            ("Ryzen Threadripper PRO 7975WX", 32, 64, 350),
            ("Ryzen Threadripper PRO 7995WX", 96, 192, 350),
        ),
        CODECARBON: (
            ("Xeon E5-2686 v4", 18, 36, 145),
            ("Xeon Platinum 8171M", 26, 52, 165),
            ("Xeon Platinum 8259CL", 24, 48, 210),
            ("Xeon Platinum 8272CL", 26, 52, 195),
            ("Xeon Platinum 8370C", 32, 64, 205),
            ("Xeon Platinum 8375C", 32, 64, 300),
            ("EPYC 7R13", 48, 96, 225),
            ("EPYC 7B12", 64, 128, 240),
        ),
    }.items()
    for name, cores, threads, rated_w in rows
)

_TRIMMINGS = re.compile(r"\((?:R|TM)\)|\bCPU\b|@.*", re.IGNORECASE)


def look_up(model_name: str) -> Cpu | None:
    """The row of a processor by its name in /proc/cpuinfo, such as `Intel(R) Xeon(R) CPU E5-2620 v3 @ 2.40GHz`."""
    words = " ".join(_TRIMMINGS.sub(" ", model_name).lower().split())
    return next((cpu for cpu in TABLE if re.search(rf"(?<!\S){re.escape(cpu.name.lower())}(?!\S)", words)), None)
