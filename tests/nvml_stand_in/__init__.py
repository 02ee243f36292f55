"""NVIDIA's management library without an NVIDIA GPU: the real binding loads it, and the truth behind its sensors is known.

    with StandIn(build(folder) / "state", [Gpu(trace=Trace.square(100, 700, 0.5))], now_s=1000.0) as stand_in: ...

A process started with LD_LIBRARY_PATH=folder finds those GPUs; this very process does after `load(folder)`.
"""

from .layout import NEVER_S, Call
from .library import build, compilers, load
from .state import FUNCTION_NOT_FOUND, NOT_SUPPORTED, Gpu, Process, Sensor, Slice, StandIn
from .traces import Segment, Trace

__all__ = [
    "FUNCTION_NOT_FOUND",
    "NEVER_S",
    "NOT_SUPPORTED",
    "Call",
    "Gpu",
    "Process",
    "Segment",
    "Sensor",
    "Slice",
    "StandIn",
    "Trace",
    "build",
    "compilers",
    "load",
]
