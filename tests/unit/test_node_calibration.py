"""Fitting a node's meters to the wall, and what that adds to a job; and the files that this is kept in."""

import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonq.domain.energy import Component, EnergyReading, Provenance, Rung, total_of
from carbonq.domain.errors import InvalidInput, NotFound, StorageFailed
from carbonq.workers.calibration import Calibration, Pair, fit, other
from carbonq.workers.calibration_file import load, read_pairs, save, this_node
from carbonq.workers.embodied import embodied_g

LOADS_W = (50.0, 120.0, 200.0, 300.0, 420.0, 500.0)


def node(power_w: float, *, p0_w: float = 80.0, gain: float = 1.1, error_rel: float = 0.0, t: float = 60.0) -> Pair:
    return Pair(t, power_w * t, (p0_w + gain * power_w) * t * (1 + error_rel))


def read(
    energy_j: float | None, uncertainty_rel: float | None = 0.02, part: Component = Component.GPU
) -> EnergyReading:
    known = Provenance.UNKNOWN if energy_j is None else Provenance.MEASURED
    return EnergyReading(
        component=part, energy_j=energy_j, provenance=known, method=part.value, uncertainty_rel=uncertainty_rel
    )


def made(**fields: float) -> Calibration:
    return fit([node(power_w) for power_w in LOADS_W]).model_copy(update=fields)


# --- the fit


def test_what_a_node_really_draws_is_found_whatever_the_pairs_lengths() -> None:
    found = fit([node(power_w, t=20.0 * (i + 1)) for i, power_w in enumerate(LOADS_W)])

    assert (found.p0_w, found.gain, found.residual_rel) == pytest.approx((80.0, 1.1, 0.0), abs=1e-9)
    assert (found.pairs, found.software_w_min, found.software_w_max) == (6, 50.0, 500.0)


def test_the_residual_is_how_wrong_each_pair_is_foretold_from_the_others() -> None:
    """Against the error on 2,000 loads that the fit has not seen."""
    rng = random.Random(4)

    def noisy() -> Pair:
        return node(rng.uniform(50, 500), error_rel=rng.gauss(0, 0.03))

    seen, unseen = [noisy() for _ in range(40)], [noisy() for _ in range(2000)]
    found = fit(seen)
    errors = [found.wall_j(pair.duration_s, pair.software_j) / pair.wall_j - 1 for pair in unseen]

    assert found.residual_rel == pytest.approx(math.sqrt(sum(e * e for e in errors) / len(errors)), rel=0.25)


def test_the_reference_meters_own_error_is_added_in_quadrature() -> None:
    found = made(residual_rel=0.03, reference_rel=0.04)

    assert found.uncertainty_rel == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([node(50), node(100), node(200), node(400)], "4 pairs are too few"),
        ([node(100 + i) for i in range(8)], "one and the same load"),
        ([node(100) for _ in range(8)], "one and the same load"),
        ([*(node(100 + i / 10) for i in range(5)), node(400)], "all pairs but one"),
        ([node(power_w, p0_w=500, gain=-0.5) for power_w in LOADS_W], "less when the node draws more"),
        ([node(power_w, p0_w=-20) for power_w in LOADS_W], "-20 W beside"),
        ([*map(node, LOADS_W), Pair(60, math.nan, 9.0, "pairs.csv:8")], "`software_j` is nan"),
        ([*map(node, LOADS_W), Pair(60, 9.0, math.inf)], "`wall_j` is inf"),
        ([*map(node, LOADS_W), Pair(-60, 9.0, 9.0)], "`duration_s` is -60"),
        ([*map(node, LOADS_W), Pair(60, 0.0, 9.0)], "`software_j` is 0"),
    ],
)
def test_pairs_that_determine_no_sensible_node_are_refused_in_three_lines(pairs: list[Pair], said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        fit(pairs)

    assert len(str(caught.value).splitlines()) <= 3
    assert caught.value.hint


# --- what it adds to a job


def test_a_job_gets_its_share_of_what_always_flows_and_the_losses_of_what_it_used() -> None:
    found = other([read(10_000), read(2_000, part=Component.CPU)], 100.0, 0.25, made())

    assert found.energy_j == pytest.approx(80 * 100 * 0.25 + 0.1 * 12_000)
    assert (found.component, found.provenance, found.rung) == (Component.OTHER, Provenance.MODELLED, Rung.FITTED_MODEL)


def test_the_totals_uncertainty_becomes_that_of_the_calibration() -> None:
    parts = [read(10_000, 0.02), read(2_000, 0.05, Component.CPU)]

    whole = total_of([*parts, other(parts, 100.0, 1.0, made(residual_rel=0.04))])

    assert whole.uncertainty_rel == pytest.approx(0.04)


def test_a_total_is_known_no_better_than_the_jobs_own_parts() -> None:
    parts = [read(10_000, 0.3)]

    added = other(parts, 100.0, 1.0, made(residual_rel=0.04))

    assert added.uncertainty_rel == 0.0
    assert total_of([*parts, added]).uncertainty_rel == pytest.approx(3_000 / 19_000)


def test_with_an_unknown_part_nothing_is_made_up() -> None:
    found = other([read(10_000), read(None, part=Component.CPU)], 100.0, 1.0, made())

    assert (found.energy_j, found.provenance) == (None, Provenance.UNKNOWN)
    assert "unknown" in found.flags[0]


def test_a_gain_below_one_takes_nothing_away_and_says_so() -> None:
    found = other([read(10_000)], 10.0, 0.0, made(gain=0.9))

    assert found.energy_j == 0.0
    assert "read too much" in found.flags[0]


def test_a_load_beyond_those_of_the_pairs_is_flagged() -> None:
    assert other([read(50_000)], 100.0, 1.0, made()).flags == ()
    assert "up to 500 W" in other([read(70_000)], 100.0, 1.0, made()).flags[0]


@given(
    energy_j=st.floats(0, 1e12), duration_s=st.floats(0, 1e7), share=st.floats(0, 1), gain=st.floats(0.1, 3),
    uncertainty_rel=st.floats(0, 2),
)  # fmt: skip
def test_what_is_added_is_never_negative_and_always_a_number(
    energy_j: float, duration_s: float, share: float, gain: float, uncertainty_rel: float
) -> None:
    found = other([read(energy_j, uncertainty_rel)], duration_s, share, made(gain=gain, residual_rel=0.05))

    assert found.energy_j is not None
    assert found.energy_j >= 0
    assert found.uncertainty_rel is None or math.isfinite(found.uncertainty_rel)


def test_making_a_machine_is_shared_out_over_its_life_and_by_what_was_reserved() -> None:
    """The specification's own example: 1000 kg over four years, one hour, comes to 28 g."""
    assert embodied_g(1_000_000, 4 * 365 * 86_400, 3600, 1.0) == pytest.approx(28.5, abs=0.05)
    assert embodied_g(1_000_000, 4 * 365 * 86_400, 3600, 0.25) == pytest.approx(28.5 / 4, abs=0.05)


# --- the files


def test_what_was_saved_is_loaded_again_on_the_same_node_alone(tmp_path: Path) -> None:
    path = tmp_path / "worker" / "calibration.json"
    kept = made().model_copy(update={"node": "lab-1"})

    save(path, kept)

    assert load(path, "lab-1") == kept
    assert load(path, "lab-2") is None
    assert [file.name for file in path.parent.iterdir()] == ["calibration.json"]


@pytest.mark.parametrize("text", ["", "{}", "nonsense", '{"schema_version": 1, "p0_w": -5}'])
def test_a_file_that_cannot_be_used_is_said_and_stops_nothing(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text)

    assert load(path) is None
    assert "carbonq calibrate" in caplog.text


def test_no_file_is_no_matter(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert (load(tmp_path / "none"), caplog.text) == (None, "")


def test_a_calibration_of_another_version_is_not_used(tmp_path: Path) -> None:
    save(tmp_path / "c.json", made().model_copy(update={"node": "lab", "schema_version": 2}))

    assert load(tmp_path / "c.json", "lab") is None


def test_a_folder_that_cannot_be_written_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageFailed, match="cannot be written") as caught:
        save(tmp_path / "file" / "calibration.json", made())
    assert "--data-dir" in caught.value.hint


def test_a_node_is_told_by_its_name_and_its_machine_id(tmp_path: Path) -> None:
    (tmp_path / "machine-id").write_text("0123456789abcdef\n")

    assert this_node(tmp_path / "machine-id").endswith("-01234567")
    assert not this_node(tmp_path / "none").endswith("-")


@pytest.mark.parametrize(
    "text",
    [
        "duration_s,software_j,wall_j\n60,6000,9000\n",
        "wall_w, software_w, duration_s, note\n150,100,60,idle\n\n",
        "\ufeffsoftware_w;wall_w;duration_s".replace(";", ",") + "\r\n100,150,60\r\n",
    ],
)
def test_pairs_are_read_as_energy_or_as_power(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(text)

    assert read_pairs(path) == [Pair(60.0, 6000.0, 9000.0, f"{path}:2")]


def test_every_mistake_in_the_pairs_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("duration_s,software_j,wall_j\n60,6000,9000\n60,six,9000\n60,6000\n")

    with pytest.raises(InvalidInput) as caught:
        read_pairs(path)

    assert [(problem.line, problem.what) for problem in caught.value.problems] == [
        (3, "`software_j` is 'six'"),
        (4, "`wall_j` is ''"),
    ]


def test_a_table_without_the_columns_says_which_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("time,a,b\n1,2,3\n")

    with pytest.raises(InvalidInput, match="needs the columns duration_s, software_j, wall_j"):
        read_pairs(path)
    with pytest.raises(NotFound):
        read_pairs(tmp_path / "none.csv")
