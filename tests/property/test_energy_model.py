"""Whatever runs the model has seen, its answers are finite, ordered and repeatable."""

import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from carbonq.forecasters.energy.model import EnergyModel, RunRecord

amounts = st.floats(min_value=1e-6, max_value=1e15)
maybe = st.none() | amounts
runs = st.builds(
    RunRecord,
    family=st.sampled_from(["a", "b"]),
    gpu_model=st.sampled_from(["", "A100", "an unknown one"]),
    gpus=st.integers(0, 64),
    work=maybe,
    energy_j=maybe,
    duration_s=maybe,
    power_limit_w=st.none() | st.floats(1, 2000),
    batch_size=st.none() | st.floats(1, 1e6),
    numbers=st.dictionaries(st.sampled_from(["x", "y"]), st.floats(allow_nan=False, allow_infinity=False), max_size=2),
    labels=st.dictionaries(st.sampled_from(["k", "l"]), st.text(max_size=2), max_size=2),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(runs, max_size=12), runs)
def test_answers_are_positive_finite_and_in_order(seen: list[RunRecord], asked: RunRecord) -> None:
    model = EnergyModel()
    model.fit(seen)
    for found in (model.predict(asked), model.predict(asked, target="duration_s")):
        values = found[:5]
        assert all(0 < value < math.inf for value in values)
        assert list(values) == sorted(values)


@settings(max_examples=30, deadline=None)
@given(st.lists(runs, max_size=12), runs)
def test_runs_learnt_one_by_one_or_read_back_tell_the_same(seen: list[RunRecord], asked: RunRecord) -> None:
    at_once, one_by_one = EnergyModel(), EnergyModel()
    at_once.fit(seen)
    for run in seen:
        one_by_one.update(run)
    again = EnergyModel.from_state(json.loads(json.dumps(at_once.to_state())))
    assert at_once.predict(asked) == one_by_one.predict(asked)
    assert again.to_state() == at_once.to_state()
