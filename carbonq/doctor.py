"""`carbonq doctor`: what carbonq finds on this machine, what is missing, and how to mend it."""

import grp
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from carbonq import bootstrap, config
from carbonq.clock import real_now
from carbonq.domain.carbon import Origin, Zone
from carbonq.domain.energy import Provenance
from carbonq.domain.errors import CarbonqError, NotFound, QueueUnreachable
from carbonq.domain.ports import Counter, IntensitySource
from carbonq.domain.time import from_ms
from carbonq.domain.units import format_duration, format_size
from carbonq.settings import SECRETS, Settings, redact_url
from carbonq.workers import inventory
from carbonq.workers.meters import cpu_model, nvml
from carbonq.workers.meters.choice import node_meters
from carbonq.workers.meters.cpu_model import CpuConstants
from carbonq.workers.meters.pyrapl import PyRaplMeter
from carbonq.workers.settings import POWERCAP, WorkerSettings
from carbonq.workers.shim import powercap

LOW_DISK_B = 1 << 30
LARGEST_SKEW_S = 2.0
"""Clocks further apart than this would make a worker start jobs visibly early or late."""


class Check(NamedTuple):
    """`ok` None: not wrong, but worth knowing. `hint` says how to mend it."""

    name: str
    ok: bool | None
    what: str
    hint: str = ""


def diagnose(settings: Settings) -> Iterator[Check]:
    """Every check, one after the other, none of which changes anything. Sources are asked over the network."""
    yield Check("python", True, f"{sys.version.split()[0]} at {sys.executable}")
    yield from _misspelt()
    yield _zone(settings)
    yield _data_folder(settings.data_dir)
    yield from _queue(settings)
    yield _forecasts()
    yield from _open_keys(settings)
    yield from _sources(settings)
    if settings.weather == "open-meteo":
        yield _weather(settings)
    yield from _gpus()
    yield from _cpu_meter(POWERCAP, bootstrap.worker_dir(settings))


def _misspelt() -> Iterator[Check]:
    for problem in config.misspelt(os.environ):
        yield Check("settings", None, f"{problem.file} {problem.what}", problem.hint)


def _zone(settings: Settings) -> Check:
    origin = settings.origins.get("zone", "default")
    if "assumed" in origin:
        return Check(
            "zone", None, f"{settings.zone}, {origin}", "set it: `zone: FR` in carbonq.yaml, or CARBONQ_ZONE=FR"
        )
    return Check("zone", True, f"{settings.zone}, from {origin}")


def _data_folder(folder: Path) -> Check:
    place = next((parent for parent in (folder, *folder.parents) if parent.exists()), Path("/"))
    if not os.access(place, os.W_OK):
        return Check(
            "data folder",
            False,
            f"{folder} cannot be written to",
            f"as its owner: mkdir -p {folder}; or set CARBONQ_DATA_DIR",
        )
    free_b = shutil.disk_usage(place).free
    what = f"{folder}, {format_size(free_b)} free"
    return Check(
        "data folder", free_b >= LOW_DISK_B or None, what, "logs are dropped, not jobs, once it is full; make room"
    )


def _queue(settings: Settings) -> Iterator[Check]:
    try:
        on = bootstrap.adapters(settings)
        on.queue.ping()
    except QueueUnreachable as error:
        yield _not_running(settings, error)
        return
    except CarbonqError as error:
        yield Check("queue", False, f"{error.what} {error.where}".strip(), error.hint)
        return
    yield Check("queue", True, f"{redact_url(bootstrap.url(settings))}, namespace {settings.namespace}")
    yield _skew(on.store.call("TIME"))
    workers = on.board.workers()
    yield Check(
        "workers",
        bool(workers) or None,
        f"{len(workers)} registered",
        "" if workers else "start one: `carbonq worker`, or all in one: `carbonq up`",
    )


def _not_running(settings: Settings, error: QueueUnreachable) -> Check:
    if settings.redis_url is not None:
        return Check("queue", False, f"{error.what}", error.hint)
    try:
        from carbonq.scheduler.queue.server import find_server

        return Check(
            "queue", None, f"the private server is not running (it would be {find_server()})", "start it: `carbonq up`"
        )
    except CarbonqError as missing:
        return Check("queue", False, missing.what, missing.hint)


def _skew(reply: list[bytes]) -> Check:
    seconds, microseconds = (int(part) for part in reply)
    skew_s = abs((real_now() - from_ms(seconds * 1000 + microseconds / 1000)).total_seconds())
    hint = "run an NTP client such as chrony on both machines"
    return Check(
        "clock",
        skew_s < LARGEST_SKEW_S,
        f"{skew_s:.1f} s apart from the server's",
        "" if skew_s < LARGEST_SKEW_S else hint,
    )


def _forecasts() -> Check:
    lacking = bootstrap.lacks_for_forecasts()
    if not lacking:
        return Check("forecasts", True, "readings are kept and a model learns from them")
    return Check(
        "forecasts",
        None,
        f"{' and '.join(lacking)} not installed: no readings are kept and no model learns",
        "pip install 'carbonq[forecast]'; until then forecasts are the source's own, or typical",
    )


def _open_keys(settings: Settings) -> Iterator[Check]:
    """Keys in files that others on this machine can read."""
    for name in SECRETS:
        file = Path(settings.origins.get(name, "").partition(":")[0])
        if getattr(settings, name) and file.is_file() and file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            yield Check("keys", None, f"others can read {name} in {file}", f"chmod 600 {file}")


def _sources(settings: Settings) -> Iterator[Check]:
    from carbonq.forecasters.carbon.registry import make_source

    for word in settings.sources:
        label = f"source {word.partition(':')[0]}"
        try:
            source = make_source(word, settings)
            yield _tried(label, source, settings)
        except CarbonqError as error:
            yield Check(label, None, error.what, error.hint or "the next source in the list is used instead")


def _tried(label: str, source: IntensitySource, settings: Settings) -> Check:
    """What a source answers now: its newest reading and its own forecast, where it has them.

    One with a key is tried also where it is not asked otherwise, of any zone: a wrong key should not show on the day it is needed.
    """
    zone, info = settings.zone, source.info
    unasked, hint = "", ""
    if info.signal is not settings.signal and source.name != "typical":
        unasked, hint = f"left out: its signal is {info.signal}", f"`signal: {info.signal}` would use it"
    elif zone not in source.zones():
        unasked = f"does not know {zone} and is not asked for it"
    if not unasked:
        return _answer(label, source, zone)
    if info.key_setting and (known := sorted(source.zones())):
        unasked += f"; its key is good: {_answer(label, source, zone if zone in known else known[0]).what}"
    return Check(label, None if hint else True, unasked, hint)


def _answer(label: str, source: IntensitySource, zone: Zone) -> Check:
    began_s = monotonic()
    said = [text for text in (_newest(source, zone), _foreseen(source, zone)) if text]
    took = f"answered in {monotonic() - began_s:.1f} s" if source.name != "typical" else ""
    return Check(
        label, bool(said) or None, ", ".join([f"{zone}: {'; '.join(said) or 'nothing yet'}", *filter(None, [took])])
    )


def _newest(source: IntensitySource, zone: Zone) -> str:
    now = real_now()
    back = timedelta(seconds=source.info.lag_s) + timedelta(days=1)
    known = [one for one in source.history(zone, now - back, now).readings if one.origin is not Origin.MODELLED]
    if not known:
        return ""
    behind = format_duration(max(0.0, (now - known[-1].end).total_seconds()))
    return f"{known[-1].intensity_g_per_kwh:.0f} g/kWh ({source.info.signal}, {source.info.scope}), {behind} old"


def _foreseen(source: IntensitySource, zone: Zone) -> str:
    if not source.info.forecasts:
        return ""
    now = real_now()
    end = now + timedelta(hours=24)
    try:
        forecast = source.forecast(zone, now, end)
    except NotFound:
        return ""
    reach = format_duration((min(forecast.grid.end, end) - now).total_seconds())
    label = (
        "a typical profile, not a forecast of this day" if forecast.origin is Origin.MODELLED else "its own forecast"
    )
    return f"{label} for the next {reach}"


def _weather(settings: Settings) -> Check:
    from carbonq.forecasters.carbon.weather import open_meteo

    try:
        open_meteo(settings.open_meteo_url).current(settings.zone, real_now())
    except CarbonqError as error:
        return Check("weather", None, error.what, error.hint or "forecasts go on without it")
    return Check("weather", True, f"Open-Meteo forecasts the weather over {settings.zone}")


def _gpus() -> Iterator[Check]:
    library = nvml.start()
    gpus = inventory.find_gpus(library) if library else ()
    if not gpus:
        what = "none that NVML sees: this machine runs jobs on its CPU slots"
        yield Check("gpus", None, what, "where there is one, install NVIDIA's driver")
        return
    yield Check("gpus", True, ", ".join(f"{gpu.model} {gpu.uuid}" for gpu in gpus))
    yield _gpu_meter(nvml.NvmlMeter(library, [gpu.uuid for gpu in gpus]).read())


def _gpu_meter(counters: Sequence[Counter]) -> Check:
    without = [counter.device for counter in counters if counter.energy_j is None]
    if not without:
        return Check("gpu meter", True, f"the GPUs' own energy counters, ± {nvml.UNCERTAINTY_REL:.0%}")
    what = f"no energy counter of {', '.join(without)}: the power is sampled and added up"
    return Check("gpu meter", None, what, "GPUs before Volta have none; on others, update NVIDIA's driver")


def _cpu_meter(powercap_dir: Path, worker_dir: Path) -> Iterator[Check]:
    """What the packages and the memory will be read by, and what would be better."""
    meters = node_meters(powercap_dir, inventory.memory_b(), data_dir=worker_dir)
    counters = [counter for meter in meters for counter in meter.read()]
    is_measured = counters[0].provenance is Provenance.MEASURED
    modelled = "CPU energy is modelled from CPU time"
    if is_measured:
        yield Check("cpu meter", True, f"RAPL, measured, {_error(counters[0])}")
    elif any(powercap.zones(str(powercap_dir))):
        yield Check("cpu meter", None, f"RAPL is there but not readable: {modelled}", _readable(powercap_dir))
        yield Check("cpu meter at boot", None, f"the same for good: put the next line into {UDEV_RULES}", _udev_rule())
    else:
        hint = "virtual machines hide them; on bare metal: modprobe intel_rapl_msr"
        yield Check("cpu meter", None, f"no RAPL counters: {modelled}", hint)
    if not is_measured:
        yield Check("cpu model", True, f"{_constants(cpu_model.node_constants(worker_dir))}, {_error(counters[0])}")
    for memory in counters[1:]:
        by = "RAPL, measured" if memory.provenance is Provenance.MEASURED else "modelled by its size"
        yield Check("memory meter", True, f"{by}, {_error(memory)}")
    yield Check("sampling", True, f"CPU and memory every {format_duration(WorkerSettings.sample_interval_s)}")
    yield _pyrapl()


def _error(counter: Counter) -> str:
    return f"± {counter.uncertainty_rel or 0:.0%}"


def _constants(constants: CpuConstants) -> str:
    return f"{constants.source}: {constants.idle_w:.0f} W idle to {constants.max_w:.0f} W at full load"


UDEV_RULES = "/etc/udev/rules.d/70-carbonq-rapl.rules"


def _readable(powercap_dir: Path) -> str:
    """Not for everyone: by a package's power one program can guess at another's secrets (CVE-2020-8694)."""
    files = f"{powercap_dir}/intel-rapl:*/energy_uj"
    return f"until the next boot: sudo sh -c 'chgrp {_group()} {files} && chmod g+r {files}'"


def _udev_rule() -> str:
    file = "/sys%p/energy_uj"
    return (
        'ACTION=="add", SUBSYSTEM=="powercap", KERNEL=="intel-rapl:*", '
        f"RUN+=\"/bin/sh -c 'chgrp {_group()} {file} && chmod g+r {file}'\""
    )


def _group() -> str:
    try:
        return grp.getgrgid(os.getgid()).gr_name
    except KeyError:
        return str(os.getgid())


def _pyrapl() -> Check:
    if find_spec("pyRAPL") is None:
        return Check("pyrapl", True, "not installed, nor needed: carbonq reads RAPL itself")
    problem = PyRaplMeter().problem
    return Check("pyrapl", None if problem else True, problem or "installed, and it finds its counters")
