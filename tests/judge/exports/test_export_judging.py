"""What the judge of exports says of a file that differs, that does not run, and of values that nothing runs on."""

from types import SimpleNamespace

import numpy as np
import pytest

from permafrost.judge.exports import deciding, judging
from permafrost.judge.exports.declared_shapes import Declared
from permafrost.judge.exports.trials import Trial, Trials
from permafrost.judge.sessions import RunFailed
from permafrost.outcome import Problem

EXPECTED = np.array([1.0, 2.0], np.float32)


class Given:
    """Trials of one trial, in which the checkpoint gives EXPECTED."""

    fetched, keys = ["out:0"], ["out"]
    graphs = SimpleNamespace(index=SimpleNamespace(nodes={}))

    def __iter__(self):
        yield Trial(0, 0, 1, {})

    def expected(self, trial):
        return [EXPECTED]

    def fed(self, trial):
        return {}


class Runtime:
    """A file that gives `value`, or fails as it says."""

    def __init__(self, value):
        self.value = value

    def declared(self):
        return Declared({}, {})

    def run(self, feed):
        if isinstance(self.value, RunFailed):
            raise self.value
        return [self.value]


def finding(value, share: float | None):
    return judging.compare(Given(), Runtime(value), share).finding


def test_a_difference_says_how_far_beyond_the_tolerance_it_is():
    found = finding(EXPECTED + np.float32(0.5), 0.1)
    assert found.cause == "outputs_differ" and "largest difference 0.5, 2.5 times the tolerance, at" in found.message
    assert finding(EXPECTED + np.float32(0.1), 0.1) is None
    assert "times" not in finding(EXPECTED + np.float32(0.5), None).message
    assert "times" not in finding(EXPECTED * np.float32(np.inf), 0.1).message


@pytest.mark.parametrize(
    ("cause", "told", "status"),
    [
        ("run_failed", "outputs_differ", "mismatch"),
        ("bad_feed", "outputs_differ", "mismatch"),
        ("string_input", "string_input", "unverifiable"),
    ],
)
def test_a_file_that_does_not_run_is_a_mismatch_unless_its_format_lacks_such_strings(cause, told, status):
    found = finding(RunFailed(cause, "it does not"), 0.1)
    assert found.cause == told and "it does not" in found.message and deciding.status(found.cause) == status


@pytest.mark.parametrize(("baked", "cause"), [({"keep:0": 0.0}, "fixed_value"), ({}, "run_failed")])
def test_a_baked_value_on_which_the_checkpoint_does_not_run_is_named(baked, cause):
    def fails(fetched, feed):
        raise RunFailed("run_failed", "node 'd' (Div): zero")

    trials = Trials.__new__(Trials)
    trials._export, trials.fetched, trials._computed = SimpleNamespace(baked=baked), [], {}
    trials._pair = lambda: SimpleNamespace(run_original=fails)
    with pytest.raises(Problem, match="node 'd'") as caught:
        trials.expected(Trial(0, 0, 1, {}))
    assert caught.value.cause == cause and ("keep:0 is always 0.0" in caught.value.message) == bool(baked)


def test_an_input_that_keeps_its_default_is_fed_what_the_graph_has_for_it_unless_it_is_baked():
    default = np.float32(0.5)

    def run(fetched, feed):
        assert fetched == ["cut:0"] and list(feed) == ["x:0"]
        return [default]

    def feed(seed, batch, directory):
        return {"x:0": np.zeros(batch)}

    trials = Trials.__new__(Trials)
    trials._settings, trials._directory, trials._defaults = SimpleNamespace(seed=0), ".", ["keep:0"]
    trials._pair = lambda: SimpleNamespace(run_original=run)
    trials.graphs = SimpleNamespace(names={"keep:0": "cut:0"}, feed=feed)
    trials.sources = {"images": "x:0", "keep": "keep:0"}
    trials._export = SimpleNamespace(baked={})
    assert trials.fed(trials.trial(0, 2))["keep"] == default
    trials._export = SimpleNamespace(baked={"keep:0": 1.0})
    value = trials.trial(0, 2).feed["keep:0"]
    assert value == 1 and value.dtype == np.float32
