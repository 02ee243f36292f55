"""pyRAPL as a meter, for those who want its readings: `pip install 'carbonq[rapl]'`. The own reader, `rapl`, is the better one.

pyRAPL 0.2.3.1 takes no notice of a counter's wrap, refuses machines whose sockets have two dies, knows one fixed path, and holds
the files that it opened at the start. This adapter adds up what it reads, and where a counter falls it says unknown and begins
anew: what was drawn in between is lost, never negative. https://github.com/powerapi-ng/pyRAPL
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Protocol

from carbonq.domain.energy import Component, Provenance
from carbonq.domain.ports import Counter
from carbonq.workers.meters import rapl
from carbonq.workers.shim import proc

METHOD = "pyrapl"


class Sensor(Protocol):
    """pyRAPL's: microjoules of each socket's package and memory by turns, -1 for what there is not."""

    def energy(self) -> Sequence[float]: ...


def open_sensor() -> tuple[Sensor | None, str]:
    """pyRAPL's sensor of the whole machine; or None, and why there is none."""
    with warnings.catch_warnings(), _quiet_logging():
        warnings.simplefilter("ignore")  # it writes regular expressions as plain strings, and leaves files open
        return _open_sensor()


@contextmanager
def _quiet_logging() -> Iterator[None]:
    """Its import sets up logging, to complain of packages that only its other outputs need."""
    handlers = logging.root.handlers[:]
    logging.root.addHandler(logging.NullHandler())
    try:
        yield
    finally:
        logging.root.handlers[:] = handlers


def _open_sensor() -> tuple[Sensor | None, str]:
    try:
        pyrapl = import_module("pyRAPL")
    except ImportError:
        return None, "pyRAPL is not installed: pip install 'carbonq[rapl]'"
    try:
        return pyrapl.Sensor(), ""
    except pyrapl.PyRAPLException:
        return None, "pyRAPL finds no package counter for each socket (none at all, or sockets of two dies)"
    except PermissionError:
        return None, "pyRAPL may not read the counters: only root may, unless a rule says otherwise"
    except (OSError, ValueError) as error:
        return None, f"pyRAPL cannot read this machine: {error}"


class PyRaplMeter:
    """The packages' and their memory's energy by pyRAPL. `problem` says why it reads nothing; it is empty where it does."""

    name = METHOD

    def __init__(self, sensor: Sensor | None = None) -> None:
        self.identity = proc.boot_id()
        self.problem = ""
        if sensor is None:
            sensor, self.problem = open_sensor()
        self._sensor = sensor
        self._tallies = {Component.CPU: _Tally(0), Component.DRAM: _Tally(1)}
        first_uj = self._energies_uj()
        self._shown = {component for component, tally in self._tallies.items() if tally.parts(first_uj)}

    @property
    def is_available(self) -> bool:
        return Component.CPU in self._shown

    def read(self) -> Sequence[Counter]:
        at_s, energies_uj = proc.now_s(), self._energies_uj()
        return tuple(
            Counter(
                component,
                at_s,
                tally.add(energies_uj),
                method=METHOD,
                provenance=Provenance.MEASURED,
                uncertainty_rel=rapl.UNCERTAINTY_REL,
            )
            for component, tally in self._tallies.items()
            if component in self._shown
        )

    def _energies_uj(self) -> Sequence[float]:
        try:
            return self._sensor.energy() if self._sensor else ()
        except (OSError, ValueError):
            return ()


class _Tally:
    """One component's counters over all sockets, added up."""

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._last: list[float] = []
        self._total_uj = 0.0

    def parts(self, energies_uj: Sequence[float]) -> list[float]:
        return [energy_uj for energy_uj in energies_uj[self._offset :: 2] if energy_uj >= 0]

    def add(self, energies_uj: Sequence[float]) -> float | None:
        """Joules since the first reading, or since the last counter that fell; None for a reading that failed or where one did."""
        now = self.parts(energies_uj)
        if not now or (self._last and len(now) != len(self._last)):
            return None  # the counters go on meanwhile: the next reading has it all
        before, self._last = self._last or now, now
        if any(after < earlier for earlier, after in zip(before, now, strict=True)):
            self._total_uj = 0.0
            return None
        self._total_uj += sum(now) - sum(before)
        return self._total_uj / 1e6
