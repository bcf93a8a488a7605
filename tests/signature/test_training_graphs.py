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


FOUND: dict[str, tuple[set[str], set[str]]] = {}  # graph -> the nodes that are wanted, and those that were chosen


@pytest.mark.parametrize("build", training_graphs.WANTED, ids=lambda build: build.__name__)
def test_inputs_are_found_and_run(build, tmp_path):
    """On the inputs that are found the wanted outputs run; nothing else is fed but flags and what has a default."""
    outputs, inputs = training_graphs.WANTED[build]
    source = saved(build, tmp_path)
    found = imported(source)
    FOUND[build.__name__] = outputs, {tensor_name(name)[0] for name in found.outputs}
    assert 0 < found.outputs_confidence < 1
    record = rehearse(imported(source, outputs=sorted(outputs)))
    assert not record.rehearsal
    drawn = {name for name, spec in record.inputs.items() if not isinstance(spec, Value | Default)}
    assert {tensor_name(name)[0] for name in drawn} <= inputs


def test_most_outputs_are_found():
    """The tables were fitted on these graphs too, so that this says that they still fit, not how well they do."""
    if len(FOUND) < len(training_graphs.WANTED):
        pytest.skip("all tests of this file have to run before it")
    complete = sum(wanted <= chosen for wanted, chosen in FOUND.values())
    missed = [name for name, (wanted, chosen) in FOUND.items() if wanted.isdisjoint(chosen)]
    never = [name for wanted, chosen in FOUND.values() for name in chosen - wanted if NEVER.search(name)]
    assert complete >= 0.88 * len(FOUND) and len(missed) <= 0.03 * len(FOUND), missed
    assert len(never) <= 0.02 * sum(len(chosen) for _, chosen in FOUND.values()), never
    assert max(len(chosen) for _, chosen in FOUND.values()) <= 8
