"""The feeds of further trials: every word, every number, turned flags and large floats."""

from types import SimpleNamespace

import numpy as np

from permafrost.graph.protos import GraphDef
from permafrost.input_kinds import Integers, Strings, Uniform, Value, Words
from permafrost.judge.exports import further
from permafrost.judge.exports.trials import Trial
from permafrost.signature import feeds


class Made:
    """Trials of inputs, without a model."""

    def __init__(self, inputs, graph_def=None, fixed=None):
        frozen = SimpleNamespace(graph_def=graph_def or GraphDef())
        self.graphs = SimpleNamespace(inputs=inputs, frozen=frozen)
        self.sources = {name: name for name in inputs}
        self.fixed, self._inputs = fixed, inputs

    def __iter__(self):
        yield self.trial(0, self.fixed or 2)

    def trial(self, number: int, batch: int) -> Trial:
        return Trial(number, number, batch, feeds.make(self._inputs, number, batch, "."))


def filled_table(keys: list[bytes]) -> GraphDef:
    graph_def = GraphDef()
    graph_def.node.add(name="table", op="HashTableV2")
    graph_def.node.add(name="keys", op="Const").attr["value"].tensor.string_val.extend(keys)
    graph_def.node.add(name="values", op="Const")
    graph_def.node.add(name="fill", op="InitializeTableV2", input=["table", "keys", "values"])
    return graph_def


def fed(trials: Made, name: str) -> set:
    return {value for _, trial in further.on_other_values(trials) for value in trial.feed[name].reshape(-1).tolist()}


def test_each_number_is_fed_in_one_batch_or_in_several_trials():
    ids = {"ids": Integers("int32", [None, 3], "", low=2, high=500)}
    assert fed(Made(ids), "ids") == set(range(2, 500))
    assert len([*further.on_other_values(Made(ids))]) == 1
    fixed = {"ids": Integers("int64", [10, 3], "", low=0, high=200)}
    assert fed(Made(fixed, fixed=10), "ids") == set(range(200))


def test_what_there_is_no_room_for_ends_somewhere():
    ids = {"ids": Integers("int32", [2], "", low=0, high=1 << 19)}
    assert len([*further.on_other_values(Made(ids, fixed=2))]) == 8
    large = {
        "ids": Integers("int32", [None], "", low=0, high=10_000),
        "x": Uniform("float32", [None, 900], "", low=0, high=1),
    }
    assert len([*further.on_other_values(Made({"ids": Integers("int32", [None, 0], "", low=0, high=9)}))]) == 8
    assert all(trial.batch <= 8 for _, trial in further.on_other_values(Made(large)))


def test_all_keys_of_a_table_are_fed_and_a_word_that_it_lacks():
    keys = [b"%d" % number for number in range(100)]
    words = {"words": Strings("string", [None], "", content=Words(["0", "1"]))}
    assert fed(Made(words, filled_table(keys)), "words") == {*keys, b"\x01 no such word"}
    assert fed(Made(words, filled_table([b"ice"])), "words") == {b"0", b"1", b"\x01 no such word"}


def test_flags_are_turned_and_only_they():
    inputs = {"flag": Value("bool", [], "", value=False), "x": Uniform("float32", [None], "", low=0, high=1)}
    ((said, trial),) = further.on_other_values(Made(inputs))
    assert trial.feed["flag"] and "flag" in said


def test_floats_are_large_unless_somebody_said_which_they_are():
    free = Uniform("float32", [None, 4], "", [], low=0, high=1)
    said = Uniform("float32", [None, 4], "", low=0, high=1)
    trials = Made({"free": free, "said": said})
    before = next(iter(trials)).feed
    for _, trial in further.on_large_values(trials):
        assert np.allclose(np.abs(trial.feed["free"]), 30 * before["free"])
        assert np.array_equal(trial.feed["said"], before["said"])
    assert not [*further.on_large_values(Made({"said": said}))]
