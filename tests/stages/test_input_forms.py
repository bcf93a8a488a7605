"""Graphs from other files than a meta graph, and freeze_graph's options, against freeze_graph itself."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from msgspec.structs import replace
from tensorflow.core.framework import variable_pb2
from tensorflow.python.tools import freeze_graph, saved_model_utils

import kinds
from conftest import sparse
from fresh_process import in_fresh_process
from judged import initialized, verified
from permafrost.graph.graph_sources import read
from permafrost.graph.metagraph import read_meta_graph
from permafrost.model import Graph
from permafrost.records import is_known
from permafrost.zoo import overrides
from stages import default_settings, frozen, imported, problem_of, sources

v1 = tf.compat.v1


def the_source(zoo: Path, **chosen) -> dict:
    """The only model below `zoo`, with the files that its settings name."""
    (source,) = sources(zoo).values()
    return overrides.apply(source, default_settings(**chosen))


def frozen_graph(zoo: Path, directory: Path, **chosen) -> tuple[dict, dict, Path]:
    record = imported(the_source(zoo, **chosen), outputs=["out"], **chosen)
    return record, *frozen(record, directory, **chosen)


def check_verified(record, provenance, path, **chosen) -> None:
    found = in_fresh_process(verified, record, provenance, path, default_settings(timeout=120, **chosen))
    assert (found["status"], found["match"]) == ("verified", "bitwise"), found


def theirs(**options) -> bytes:
    """What freeze_graph writes for the output `out`."""
    empty = dict.fromkeys(["input_checkpoint", "restore_op_name", "filename_tensor_name", "output_graph"], "")
    empty |= {"input_graph_def": None, "input_saver_def": None, "clear_devices": True, "initializer_nodes": ""}
    with tf.Graph().as_default():
        graph_def = freeze_graph.freeze_graph_with_def_protos(**empty | {"output_node_names": "out"} | options)
    return graph_def.SerializeToString(deterministic=True)


@pytest.fixture
def plain(tmp_path) -> Path:
    """A model whose meta graph is gone: a zoo with the checkpoint, and beside the zoo the graph in other forms."""
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    kinds.save(kinds.plain(False), zoo)
    meta_graph = read_meta_graph(zoo / "model.ckpt.meta")
    (zoo / "model.ckpt.meta").rename(tmp_path / "other.meta")
    v1.train.write_graph(meta_graph.graph_def, str(tmp_path), "graph.pb", as_text=False)
    v1.train.write_graph(meta_graph.graph_def, str(tmp_path), "graph.pbtxt", as_text=True)
    (tmp_path / "saver.pb").write_bytes(meta_graph.saver_def.SerializeToString())
    (tmp_path / "saver.pbtxt").write_text(text_format.MessageToString(meta_graph.saver_def))
    return tmp_path


@pytest.mark.parametrize("form", ["meta_graph", "graph_def", "saved_model"])
def test_a_file_too_large_for_a_graph_is_not_read(tmp_path, form):
    sparse(tmp_path / "saved_model.pb", 40 * 10**9)
    graph = Graph(form=form, path=str(tmp_path / "saved_model.pb"))
    problem = problem_of(read, graph)
    assert problem.cause == "bad_meta_graph" and f"it has {40 * 10**9} bytes" in problem.message


def test_another_graph_may_be_named_where_the_meta_graph_is_too_large(plain):
    sparse(plain / "zoo" / "model.ckpt.meta", 40 * 10**9)
    assert the_source(plain / "zoo").problem.cause == "bad_meta_graph"
    assert the_source(plain / "zoo", input_meta_graph=str(plain / "other.meta")).problem is None


@pytest.mark.parametrize("graph", ["graph.pb", "graph.pbtxt"])
@pytest.mark.parametrize("saver", ["", "saver.pb", "saver.pbtxt"])
def test_a_graph_def_with_a_checkpoint(plain, graph, saver):
    chosen = {"input_graph": str(plain / graph)} | ({"input_saver": str(plain / saver)} if saver else {})
    record, provenance, path = frozen_graph(plain / "zoo", plain / "frozen", **chosen)
    meta_graph = read_meta_graph(plain / "other.meta")
    right = theirs(
        input_graph_def=meta_graph.graph_def,
        input_saver_def=meta_graph.saver_def if saver else None,
        input_checkpoint=record.prefix,
    )
    assert path.read_bytes() == right
    assert not provenance.repairs
    check_verified(record, provenance, path, **chosen)


def test_a_meta_graph_from_elsewhere(plain):
    chosen = {"input_meta_graph": str(plain / "other.meta")}
    record, _, path = frozen_graph(plain / "zoo", plain / "frozen", **chosen)
    meta_graph = read_meta_graph(plain / "other.meta")
    assert path.read_bytes() == theirs(input_checkpoint=record.prefix, input_meta_graph_def=meta_graph)


def test_a_checkpoint_from_elsewhere(plain):
    other = plain / "another"
    other.mkdir()
    kinds.save(kinds.plain(False), other)
    shutil.copy(plain / "other.meta", plain / "zoo" / "model.ckpt.meta")
    chosen = {"input_checkpoint": str(other / "model.ckpt")}
    record, provenance, path = frozen_graph(plain / "zoo", plain / "frozen", **chosen)
    assert record.prefix == chosen["input_checkpoint"]
    check_verified(record, provenance, path, **chosen)


def test_the_binary_option_is_believed(plain):
    graph = Graph(form="graph_def", path=str(plain / "graph.pbtxt"), binary=True)
    assert problem_of(read, graph).cause == "bad_meta_graph"
    assert read(replace(graph, binary=False)).graph_def.node


@pytest.mark.parametrize(
    "option", ["input_graph", "input_saver", "input_meta_graph", "input_checkpoint", "input_saved_model_dir"]
)
def test_a_file_that_is_not_there_is_the_models_problem(plain, option):
    shutil.copy(plain / "other.meta", plain / "zoo" / "model.ckpt.meta")
    problem = the_source(plain / "zoo", **{option: str(plain / "gone")}).problem
    assert problem.cause == "unreadable" and "gone" in problem.message


def test_names_of_the_saver_are_honoured(plain):
    """A graph with two savers, of which the settings choose the second; freeze_graph ignores these options."""
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        kinds.plain(False)()
        w, b = v1.global_variables()
        v1.train.Saver({"w": w, "b": b})
        second = v1.train.Saver({"w_of_run": w, "b": b})
        session.run(v1.global_variables_initializer())
        second.save(session, str(plain / "zoo" / "model.ckpt"), write_meta_graph=False, write_state=False)
        v1.train.write_graph(graph.as_graph_def(), str(plain), "graph.pb", as_text=False)
        names = second.as_saver_def()
        expected = session.run(w)
    chosen = {
        "input_graph": str(plain / "graph.pb"),
        "restore_op_name": names.restore_op_name,
        "filename_tensor_name": names.filename_tensor_name,
    }
    record, provenance, path = frozen_graph(plain / "zoo", plain / "frozen", **chosen)
    nodes = {node.name: node for node in v1.GraphDef.FromString(path.read_bytes()).node}
    assert np.array_equal(tf.make_ndarray(nodes["w"].attr["value"].tensor), expected)
    check_verified(record, provenance, path, **chosen)


def test_the_version_of_the_checkpoint_is_checked(plain):
    chosen = {"input_graph": str(plain / "graph.pb"), "checkpoint_version": "V1"}
    problem = problem_of(frozen_graph, plain / "zoo", plain / "frozen", **chosen)
    assert problem.cause == "bad_setting" and "V2" in problem.message


@pytest.mark.parametrize("option", ["variable_names_allowlist", "variable_names_denylist", "initializer_nodes"])
def test_a_name_that_matches_nothing_is_an_error(plain, option):
    chosen = {"input_graph": str(plain / "graph.pb"), option: ["ww"]}
    problem = problem_of(frozen_graph, plain / "zoo", plain / "frozen", **chosen)
    assert problem.cause == "bad_setting" and "'ww'" in problem.message and "meant w" in problem.hint


@pytest.mark.parametrize("option", ["variable_names_allowlist", "variable_names_denylist"])
@pytest.mark.parametrize("clear_devices", [True, False])
def test_variable_lists_and_devices_as_freeze_graph_has_them(plain, option, clear_devices):
    meta_graph = read_meta_graph(plain / "other.meta")
    for node in meta_graph.graph_def.node:
        node.device = "/device:CPU:0"
    (plain / "graph.pb").write_bytes(meta_graph.graph_def.SerializeToString())
    chosen = {"input_graph": str(plain / "graph.pb"), option: ["w"], "clear_devices": clear_devices}
    record, provenance, path = frozen_graph(plain / "zoo", plain / "frozen", **chosen)
    right = theirs(
        input_checkpoint=record.prefix,
        input_graph_def=meta_graph.graph_def,
        clear_devices=clear_devices,
        variable_names_whitelist="w" if "allow" in option else "",
        variable_names_denylist="w" if "deny" in option else "",
    )
    assert path.read_bytes() == right
    check_verified(record, provenance, path, **chosen)


def test_a_graph_without_a_saver_is_restored_as_a_new_saver_would(tmp_path):
    zoo, feed = tmp_path / "zoo", {"x:0": np.arange(12, dtype=np.float32).reshape(2, 6)}
    zoo.mkdir()
    kinds.save(kinds.partitioned(0, 3), zoo)
    meta_graph = read_meta_graph(zoo / "model.ckpt.meta")
    meta_graph.ClearField("saver_def")
    (zoo / "model.ckpt.meta").write_bytes(meta_graph.SerializeToString())
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(str(zoo / "model.ckpt.meta")).restore(session, str(zoo / "model.ckpt"))
        right = session.run("out:0", feed)
    record, provenance, path = frozen_graph(zoo, tmp_path / "frozen")
    assert {row.key for row in record.variables} == {"w"}
    with tf.Graph().as_default(), v1.Session() as session:
        tf.import_graph_def(v1.GraphDef.FromString(path.read_bytes()), name="")
        assert np.array_equal(session.run("out:0", feed), right)
    check_verified(record, provenance, path)


@pytest.mark.parametrize("change", [{"var_shape": [2]}, {"var_offset": [-1, 0]}, {"var_shape": [7, 5]}])
def test_a_slice_that_is_none_is_refused(change, tmp_path):
    kinds.save(kinds.partitioned(0, 3), tmp_path)
    meta_graph = read_meta_graph(tmp_path / "model.ckpt.meta")
    meta_graph.ClearField("saver_def")
    variables = meta_graph.collection_def["variables"].bytes_list.value
    variable = variable_pb2.VariableDef.FromString(variables[0])
    for field, values in change.items():
        getattr(variable.save_slice_info_def, field)[:] = values
    variables[0] = variable.SerializeToString()
    (tmp_path / "model.ckpt.meta").write_bytes(meta_graph.SerializeToString())
    problem = problem_of(imported, the_source(tmp_path))
    assert problem.cause in ("bad_meta_graph", "shape_mismatch") and "'w/part_0'" in problem.message


def save_saved_model(directory: Path, tags: list[list[str]], resource: bool = False, main_op=None) -> None:
    """Saves one model under each set of tags; `main_op` makes the op that the loader runs after the restore."""
    builder = v1.saved_model.Builder(str(directory))
    for number, names in enumerate(tags):
        with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
            kinds.plain(resource)()
            session.run(v1.global_variables_initializer())
            x, out = (graph.get_tensor_by_name(f"{name}:0") for name in ("x", "out"))
            signature = {"serving_default": v1.saved_model.predict_signature_def({"in": x}, {"y": out})}
            if number:
                builder.add_meta_graph(names, signature_def_map=signature)
            else:
                last = main_op() if main_op else None
                builder.add_meta_graph_and_variables(session, names, signature_def_map=signature, main_op=last)
    builder.save()


def test_a_saved_model_is_a_model_of_the_zoo(tmp_path):
    zoo = tmp_path / "zoo"
    save_saved_model(zoo / "export", [["serve"]])
    (id,) = sources(zoo)
    assert id == "export/saved_model"
    record = imported(the_source(zoo))
    assert record.outputs == ["out"] and "serving_default" in record.outputs_why
    provenance, path = frozen(record, tmp_path / "frozen")
    directory = str(zoo / "export")
    graph_def = saved_model_utils.get_meta_graph_def(directory, "serve").graph_def
    right = theirs(input_saved_model_dir=directory, saved_model_tags=["serve"], input_graph_def=graph_def)
    assert path.read_bytes() == right
    check_verified(record, provenance, path)


@pytest.mark.parametrize("resource", [False, True])
@pytest.mark.parametrize("which", ["global", "local"])
def test_what_a_saved_model_writes_when_it_is_loaded(which, resource, tmp_path):
    def main_op():
        kept = v1.get_variable("steps", initializer=0.0, collections=[v1.GraphKeys.LOCAL_VARIABLES])
        kept = kept.assign(tf.reduce_sum(v1.global_variables()[0]))
        return v1.global_variables_initializer() if which == "global" else tf.group(kept)

    zoo = tmp_path / "zoo"
    save_saved_model(zoo / "export", [["serve"]], resource, main_op)
    record = initialized(the_source(zoo))
    assert is_known(record.initializers) == (which == "global")
    check_verified(record, *frozen(record, tmp_path / "frozen"))


def test_the_tags_of_a_saved_model(tmp_path):
    zoo = tmp_path / "zoo"
    save_saved_model(zoo / "export", [["train"], ["serve", "gpu"]])
    problem = problem_of(imported, the_source(zoo))
    assert problem.cause == "bad_setting" and "'gpu', 'serve'" in problem.hint
    chosen = {"saved_model_tags": ["serve", "gpu"]}
    check_verified(*frozen_graph(zoo, tmp_path / "frozen", **chosen), **chosen)


def test_without_tags_a_saved_model_of_tf_hub_is_that_for_use(tmp_path):
    save_saved_model(tmp_path / "zoo" / "export", [["train"], []])
    check_verified(*frozen_graph(tmp_path / "zoo", tmp_path / "frozen"))
    chosen = {"saved_model_tags": ["fast"]}
    assert "choose ['train'] or [] as" in problem_of(imported, the_source(tmp_path / "zoo", **chosen)).hint


def test_a_saved_model_from_elsewhere(plain):
    save_saved_model(plain / "export", [["serve"]])
    chosen = {"input_saved_model_dir": str(plain / "export")}
    check_verified(*frozen_graph(plain / "zoo", plain / "frozen", **chosen), **chosen)


def averaged() -> None:
    """Weights beside their averages, both saved."""
    kinds.plain(False)()
    for variable in v1.trainable_variables():
        kinds.weights(f"{variable.op.name}/ExponentialMovingAverage", variable.shape.as_list(), trainable=False)


@pytest.mark.parametrize("weights", ["raw", "ema"])
def test_the_averages_in_place_of_the_weights(weights, tmp_path):
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    prefix = kinds.save(averaged, zoo)
    record, provenance, path = frozen_graph(zoo, tmp_path / "frozen", weights=weights)
    reader = tf.train.load_checkpoint(str(prefix))
    nodes = {node.name: node for node in v1.GraphDef.FromString(path.read_bytes()).node}
    for name in ("w", "b"):
        key = f"{name}/ExponentialMovingAverage" if weights == "ema" else name
        assert np.array_equal(tf.make_ndarray(nodes[name].attr["value"].tensor), reader.get_tensor(key))
    assert not np.array_equal(reader.get_tensor("w"), reader.get_tensor("w/ExponentialMovingAverage"))
    check_verified(record, provenance, path, weights=weights)


def test_averages_that_are_not_there(plain):
    chosen = {"input_graph": str(plain / "graph.pb"), "weights": "ema"}
    problem = problem_of(frozen_graph, plain / "zoo", plain / "frozen", **chosen)
    assert problem.cause == "bad_setting" and "ExponentialMovingAverage" in problem.message
