"""With no settings at all: the outputs that a user would fetch, and inputs on which they run."""

import re

import pytest

import training_graphs
from judged import rehearse, saved
from permafrost.graph.index import tensor_name
from permafrost.input_kinds import Default, Value
from stages import imported

NEVER = re.compile(
    r"(^|/)(gradients|save|Adam|global_step|learning_rate|loss_summary|.*loss(es)?|.*accuracy|cost|report_\w+"
    r"|control_dependency|group_deps|init|(edit|label)_.*|Momentum|RMSProp\w*)(_\d+)?(/|$)"
)


@pytest.mark.parametrize("build", training_graphs.WANTED, ids=lambda build: build.__name__)
def test_outputs_and_inputs_are_found(build, tmp_path):
    outputs, inputs = training_graphs.WANTED[build]
    record = imported(saved(build, tmp_path))
    chosen = {tensor_name(name)[0] for name in record.outputs}
    assert outputs <= chosen, record.outputs_why
    assert not [name for name in chosen - outputs if NEVER.search(name)]
    assert len(chosen) <= 3 * len(outputs), chosen
    record = rehearse(record)
    assert not record.rehearsal
    assert {tensor_name(name)[0] for name in record.outputs} == chosen
    drawn = {name for name, spec in record.inputs.items() if not isinstance(spec, Value | Default)}
    assert {tensor_name(name)[0] for name in drawn} == inputs
