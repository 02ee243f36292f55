"""What of a machine's making is a job's. Pure."""


def embodied_g(total_g: float, lifetime_s: float, duration_s: float, share: float) -> float:
    """Grams of the `total_g` that making the machine emitted: by time over its lifetime, and by the share of it reserved.

    M = TE * TS * RS of the Software Carbon Intensity specification (ISO/IEC 21031:2024). Time in which nobody uses the
    machine is nobody's here.
    """
    return total_g * (duration_s / lifetime_s) * share
