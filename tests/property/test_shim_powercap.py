"""However the packages' counters grow, wrap and fail to be read: what was counted is the sum of what was drawn."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from carbonq.workers.shim.powercap import MOST_W, Powercap, passed_uj
from tests.powercap_tree import RANGE_UJ, PowercapTree

RANGES_UJ = st.sampled_from([RANGE_UJ, 65_712_999_613, 1_000_000])
STEP_S = 10.0
LARGEST_UJ = int(MOST_W * STEP_S * 1e6)

Step = tuple[int, bool]  # what a zone draws, and whether it can be read afterwards


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, int, list[Step]]]:
    """For each zone: its range, where it starts, and its steps; equally many steps for all, less than a range each."""
    count = draw(st.integers(1, 12))
    zones = []
    for _ in range(draw(st.integers(1, 4))):
        range_uj = draw(RANGES_UJ)
        step = st.tuples(st.integers(0, min(range_uj // (count + 1), LARGEST_UJ)), st.booleans())
        steps = draw(st.lists(step, min_size=count, max_size=count))
        zones.append((range_uj, draw(st.integers(0, range_uj)), steps))
    return zones


@given(histories())
def test_the_sum_is_exact_over_wraps_and_failed_reads(history: list[tuple[int, int, list[Step]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree, moments = PowercapTree(Path(folder)), iter(STEP_S * i for i in range(100))
        drawn_uj = [start_uj for _, start_uj, _ in history]
        files = [tree.add(f"intel-rapl:{i}", f"package-{i}", start, size) for i, (size, start, _) in enumerate(history)]
        meter = Powercap(str(tree.root), lambda: next(moments))
        assert meter.read() == {"cpu": 0.0}
        for now in zip(*(steps for _, _, steps in history), strict=True):
            for i, (step_uj, readable) in enumerate(now):
                drawn_uj[i] += step_uj
                files[i].write_text(str(drawn_uj[i] % (history[i][0] + 1)) if readable else "")
            passed = sum(drawn - start for drawn, (_, start, _) in zip(drawn_uj, history, strict=True))
            assert meter.read() == {"cpu": passed / 1e6 if all(readable for _, readable in now) else None}


@given(st.integers(0, 2**48), st.integers(0, 2**48), st.integers(0, 2**48), st.floats(0, 1e9))
def test_nothing_ever_counts_down(before_uj: int, after_uj: int, range_uj: int, elapsed_s: float) -> None:
    assert passed_uj(before_uj, after_uj, range_uj, elapsed_s) >= 0


@given(RANGES_UJ, st.floats(0, 1e4), st.data())
def test_what_a_package_can_draw_is_never_taken_for_a_counter_set_back(
    range_uj: int, elapsed_s: float, data: st.DataObject
) -> None:
    before_uj = data.draw(st.integers(0, range_uj))
    drawn_uj = data.draw(st.integers(0, min(range_uj, int(MOST_W * elapsed_s * 1e6))))
    assert passed_uj(before_uj, (before_uj + drawn_uj) % (range_uj + 1), range_uj, elapsed_s) == drawn_uj
