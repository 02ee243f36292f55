"""The mapped state's layout, field by field as `nvml.c` has it; what each field means stands there."""

from ctypes import Structure, c_char, c_double, c_int32, c_uint32, c_uint64
from enum import IntEnum, auto

GPUS, SEGMENTS, PROCESSES, SLICES = 16, 4096, 16, 7
NEVER_S = float("inf")


class Call(IntEnum):
    """What can fail by itself, in the order of the C enum."""

    ENERGY = 0
    FIELDS = auto()
    FIELD_ENERGY = auto()
    FIELD_AVERAGE = auto()
    FIELD_INSTANT = auto()
    POWER = auto()
    LIMITS = auto()
    UTILIZATION = auto()
    RUNNING = auto()
    SM_UTILIZATION = auto()
    MIG = auto()
    GPM = auto()
    MEMORY = auto()


class SegmentLayout(Structure):
    _fields_ = (("start_s", c_double), ("from_w", c_double), ("to_w", c_double), ("before_j", c_double))


class ProcessLayout(Structure):
    _fields_ = (
        ("start_s", c_double),
        ("end_s", c_double),
        ("memory_b", c_uint64),
        ("pid", c_uint32),
        ("sm_pct", c_uint32),
        ("gpu_instance", c_uint32),
        ("compute_instance", c_uint32),
    )


class SliceLayout(Structure):
    _fields_ = (
        ("uuid", c_char * 96),
        ("memory_b", c_uint64),
        ("gpu_instance", c_uint32),
        ("compute_instance", c_uint32),
        ("sm_count", c_uint32),
        ("gpu_slices", c_uint32),
    )


class SensorLayout(Structure):
    _fields_ = (("period_s", c_double), ("phase_s", c_double), ("window_s", c_double), ("gain", c_double))


class GpuLayout(Structure):
    _fields_ = (
        ("uuid", c_char * 96),
        ("name", c_char * 96),
        ("memory_b", c_uint64),
        ("origin_s", c_double),
        ("length_s", c_double),
        ("total_j", c_double),
        ("counter", SensorLayout),
        ("instant", SensorLayout),
        ("average", SensorLayout),
        ("counter_zero_s", c_double),
        ("counter_base_j", c_double),
        ("reset_s", c_double),
        ("lost_s", c_double),
        ("found_s", c_double),
        ("sm_period_s", c_double),
        ("limit_mw", c_uint32),
        ("limit_min_mw", c_uint32),
        ("limit_max_mw", c_uint32),
        ("limit_default_mw", c_uint32),
        ("sm_count", c_uint32),
        ("power_is_average", c_uint32),
        ("errors", c_int32 * len(Call)),
        ("mig_mode", c_uint32),
        ("segments", c_uint32),
        ("processes", c_uint32),
        ("slices", c_uint32),
        ("slice", SliceLayout * SLICES),
        ("process", ProcessLayout * PROCESSES),
        ("segment", SegmentLayout * SEGMENTS),
    )


class StateLayout(Structure):
    _fields_ = (
        ("size", c_uint64),
        ("now_s", c_double),
        ("unix_minus_boot_s", c_double),
        ("calls", c_uint64),
        ("version", c_uint64),
        ("is_virtual", c_uint32),
        ("gpus", c_uint32),
        ("init_error", c_int32),
        ("timestamps_of_update", c_uint32),
        ("driver", c_char * 96),
        ("gpu", GpuLayout * GPUS),
    )
