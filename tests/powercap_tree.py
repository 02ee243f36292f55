"""A powercap tree of plain files, laid out as Linux lays out its own."""

from pathlib import Path

RANGE_UJ = 262_143_328_850
"""What Linux shows for a 32-bit counter in units of 61.035 uJ, the most common one."""


class PowercapTree:
    """`/sys/class/powercap` below `root`: every zone at the top, and each subzone also within its package."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def add(self, zone: str, name: str, energy_uj: int = 0, range_uj: int = RANGE_UJ) -> Path:
        """Add `intel-rapl:0` or `intel-rapl:0:2`; the path of its counter."""
        control, *numbers = zone.split(":")
        below = [":".join([control, *numbers[: depth + 1]]) for depth in range(len(numbers))]
        folder = self.root / "devices" / control / Path(*below)
        folder.mkdir(parents=True)
        for link, target in ((control, self.root / "devices" / control), (zone, folder)):
            if not (self.root / link).exists():
                (self.root / link).symlink_to(target, target_is_directory=True)
        (folder / "name").write_text(name + "\n")
        (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
        (folder / "energy_uj").write_text(f"{energy_uj}\n")
        (folder / "subsystem").symlink_to(self.root, target_is_directory=True)
        return folder / "energy_uj"
