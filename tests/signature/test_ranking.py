"""What could be an output: candidates, their features, the fitted tables, and the set that is chosen."""

import random
from functools import cache

import pytest
import tensorflow as tf

import training_graphs
from exported import meta_graph_of
from fuzzing import EXAMPLES
from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.outcome import Problem
from permafrost.records import FEW_WEIGHTS
from permafrost.signature import outputs
from permafrost.signature.forward.surveying import surveyed
from permafrost.signature.ranking import confidence, tables
from permafrost.signature.ranking.anatomy import Anatomy
from permafrost.signature.ranking.candidates import candidates
from permafrost.signature.ranking.equal_nodes import first_equals, value_of
from permafrost.signature.ranking.features import features
from permafrost.signature.ranking.selection import Pool
from permafrost.signature.ranking.tables import Table

v1 = tf.compat.v1
GRAPHS = {build.__name__: build for build in training_graphs.WANTED}
SHOWING = (
    "variational_autoencoder_by_hand", "deterministic_policy_gradient", "twin_critics", "convolutional_gan",
    "dynamic_rnn", "language_model_in_two_copies", "estimator_classifier", "words_of_their_neighbours", "siamese",
    "layers_with_summaries", "network_that_prints", "asynchronous_actor_with_a_memory", "segmentation",
    "speech_with_ctc", "clipped", "acting_and_learning_models", "bottleneck_that_is_flattened", "text_cnn",
    "accuracy_built_in_every_epoch", "self_organising_map", "intent_and_slots",
)  # fmt: skip


@cache
def named(name):
    """The meta graph of one of the training graphs; not to be changed."""
    return meta_graph_of(GRAPHS[name])


def anatomy_of(meta_graph) -> Anatomy:
    index = GraphIndex(meta_graph.graph_def)
    return Anatomy(surveyed(meta_graph, index, {name for name, op in index.ops.items() if op in VARIABLE_OPS}))


def choose(meta_graph):
    index = GraphIndex(meta_graph.graph_def)
    return outputs.choose(meta_graph, index, {name for name, op in index.ops.items() if op in VARIABLE_OPS}, None)


@pytest.fixture(scope="module")
def anatomies() -> dict[str, Anatomy]:
    return {name: anatomy_of(named(name)) for name in SHOWING}


def test_the_lines_of_the_tables_are_features_that_graphs_show(anatomies):
    shown, beside = set(), set()
    for anatomy in anatomies.values():
        found = features(anatomy, candidates(anatomy))
        shown |= {feature for held in found.values() for feature in held}
        log_odds = {name: tables.candidates().log_odds(held) for name, held in found.items()}
        pool = Pool(anatomy, found, log_odds)
        for count in (1, 2, 3, 5):
            beside |= {
                feature for name in pool.left(pool.best[:count]) for feature in pool.beside(name, pool.best[:count])
            }
    of_ops = {feature for feature in tables.candidates().weights if feature.startswith("op ")}
    unseen = tables.candidates().weights.keys() - of_ops - shown
    assert len(unseen) <= 0.05 * len(shown), unseen
    assert len(tables.sets().weights.keys() - beside) <= 0.2 * len(beside), tables.sets().weights.keys() - beside


def test_features_are_shares(anatomies):
    for anatomy in anatomies.values():
        for held in features(anatomy, candidates(anatomy)).values():
            assert all(0 < value <= 2 for value in held.values())


def test_all_wanted_outputs_are_candidates(anatomies):
    for name, anatomy in anatomies.items():
        values = {value_of(anatomy.index, candidate) for candidate in candidates(anatomy)}
        assert {value_of(anatomy.index, wanted) for wanted in training_graphs.WANTED[GRAPHS[name]][0]} <= values, name


def test_a_table_is_read_as_it_was_written(tmp_path):
    table = Table(-1.5, {"a, b": 0.25, 'say "c"': -2.0})
    tables.write(tmp_path / "table.csv", table)
    assert tables.read(tmp_path / "table.csv") == table
    assert table.log_odds({"a, b": 2.0, "unknown": 9.0}) == -1.0
    assert table.reasons({"a, b": 1.0, 'say "c"': 1.0, "unknown": 1.0}) == ['say "c" (-2.0)', "a, b (+0.2)"]


def test_a_set_grows_while_one_is_likely(anatomies):
    anatomy = anatomies["siamese"]
    found = features(anatomy, candidates(anatomy))
    log_odds = {name: -float(place) for place, name in enumerate(found)}
    pool = Pool(anatomy, found, log_odds)
    never, always = Table(-9.0, {}), Table(9.0, {})
    assert pool.choose(never) == [pool.best[0]]
    assert len(pool.choose(always)) == min(8, len(pool.best))
    reverse = Table(-9.0, {"by itself": -1.0})  # the worst by itself is the likeliest
    assert pool.choose(reverse)[1] == pool.left(pool.best[:1])[-1]


def test_the_best_and_all_ends_are_listed(anatomies):
    choice = choose(named("accuracy_built_in_every_epoch"))
    anatomy = anatomies["accuracy_built_in_every_epoch"]
    listed = [entry.name for entry in choice.ranking]
    assert set(choice.outputs) <= set(listed) and len(set(listed)) == len(listed)
    assert [entry.score for entry in choice.ranking] == sorted((entry.score for entry in choice.ranking), reverse=True)
    assert {name for name in candidates(anatomy) if not anatomy.taken_by(name)} <= set(listed)
    assert len(choice.outputs) <= 8


def computed_again() -> None:
    x, w = v1.placeholder(tf.float32, [None, 4]), v1.get_variable("w", [4, 3], use_resource=True)
    for name in ("one", "again"):
        with tf.name_scope(name):
            y = tf.matmul(x, w, name="y")
            tf.argmax(y, 1, name="class")
    tf.matmul(x, w, name="other/y", transpose_b=False, a_is_sparse=True)
    tf.argmax(y, 0, name="other/class")
    for name in ("drawn", "drawn_again"):
        tf.random.categorical(y, 1, name=name)
        tf.add(y, tf.random.uniform([3], name=f"{name}/noise"), name=f"{name}/sum")


def test_what_is_computed_again_is_known():
    anatomy = anatomy_of(meta_graph_of(computed_again))
    first = first_equals(anatomy, candidates(anatomy))
    assert {name: other for name, other in first.items() if name != other and "/" in other} == {
        "again/y": "one/y",
        "again/class": "one/class",
    }


def side_branch() -> None:
    x = v1.placeholder(tf.float32, [None, 4])
    hidden = tf.add(tf.matmul(x, v1.get_variable("w", [4, 3])), 1.0, name="hidden")
    tf.nn.relu(hidden, name="unused")
    tf.add(tf.matmul(tf.tanh(hidden), v1.get_variable("v", [3, 2])), 1.0, name="logits")


def test_a_layer_that_goes_on_is_known():
    anatomy = anatomy_of(meta_graph_of(side_branch))
    found = features(anatomy, candidates(anatomy))
    feature = "no layer comes after, but after the layer before"
    assert {name for name, held in found.items() if feature in held} == {"unused"}


def test_an_output_that_reaches_few_weights_names_one_that_reaches_more(monkeypatch):
    monkeypatch.setattr(tables, "sets", lambda: Table(-9.0, {}))
    monkeypatch.setattr(tables, "candidates", lambda: Table(0.0, {"layers before it, of the most": -9.0}))
    choice = choose(named("mnist_for_beginners"))
    assert choice.reach < FEW_WEIGHTS
    anatomy = anatomy_of(named("mnist_for_beginners"))
    assert confidence.Reach(anatomy).share([*choice.outputs, choice.further]) > choice.reach


@pytest.mark.parametrize("seed", range(EXAMPLES // 4))
def test_a_damaged_graph_has_outputs_or_a_problem(seed):
    """Nodes are lost, take from elsewhere, or are of another op; names and attributes stay as they are."""
    generator = random.Random(seed)
    meta_graph = v1.MetaGraphDef()
    meta_graph.CopyFrom(named(generator.choice(SHOWING[:8])))
    nodes = meta_graph.graph_def.node
    for _ in range(generator.randrange(1, 30)):
        node = generator.choice(nodes)
        damage = generator.randrange(3)
        if damage == 0:
            nodes.remove(node)
        elif damage == 1 and node.input:
            node.input[generator.randrange(len(node.input))] = generator.choice(nodes).name
        else:
            node.op = generator.choice(nodes).op
    try:
        choice = choose(meta_graph)
    except Problem as problem:
        assert problem.cause in ("no_output", "bad_meta_graph")
    else:
        assert choice.outputs and 0 < choice.confidence < 1
