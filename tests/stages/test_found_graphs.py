"""A checkpoint without a meta graph of its own: which of the graphs around it is taken, and what is said of others."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

import kinds
from fresh_process import in_fresh_process
from judged import verified
from permafrost.graph.metagraph import read_meta_graph
from permafrost.graph.protos import MetaGraphDef, saved_model_pb2
from permafrost.model import Model
from permafrost.stages import judge_file
from permafrost.zoo import overrides
from stages import default_settings, frozen, imported, problem_of, sources

v1 = tf.compat.v1
OUT = {"outputs": ["out"]}


def source_of(zoo: Path, **chosen) -> Model:
    (source,) = sources(zoo).values()
    return overrides.apply(source, default_settings(**chosen))


def record_of(zoo: Path, **chosen):
    return imported(source_of(zoo, **chosen), **OUT, **chosen)


def problem(zoo: Path, **chosen):
    return problem_of(record_of, zoo, **chosen)


@pytest.fixture
def zoo(tmp_path) -> Path:
    """The directory of a checkpoint whose meta graph lies outside, as `own` in the directory above the zoo."""
    directory = tmp_path / "zoo" / "run" / "ckpt"
    directory.mkdir(parents=True)
    kinds.save(kinds.plain(False), directory)
    (directory / "model.ckpt.meta").rename(tmp_path / "own")
    return directory


def own(zoo: Path) -> MetaGraphDef:
    return read_meta_graph(zoo.parents[2] / "own")


def write_events(directory: Path, meta_graph: MetaGraphDef, with_meta: bool = False) -> Path:
    with tf.Graph().as_default():
        writer = v1.summary.FileWriter(str(directory))
        writer.add_graph(None, graph_def=meta_graph.graph_def)
        if with_meta:
            writer.add_meta_graph(meta_graph)
        writer.close()
    return next(directory.glob("*tfevents*"))


def as_saved_model(meta_graph: MetaGraphDef) -> bytes:
    meta_graph.meta_info_def.tags.append("serve")
    return saved_model_pb2.SavedModel(saved_model_schema_version=1, meta_graphs=[meta_graph]).SerializeToString()


def without_saver(meta_graph: MetaGraphDef) -> bytes:
    nodes = [node for node in meta_graph.graph_def.node if not node.name.startswith("save/")]
    return v1.GraphDef(node=nodes, versions=meta_graph.graph_def.versions).SerializeToString()


def put_meta(zoo: Path, meta_graph: MetaGraphDef, path: str) -> None:
    (zoo / path).parent.mkdir(exist_ok=True)
    (zoo / path).write_bytes(meta_graph.SerializeToString())


def put_text(zoo: Path, meta_graph: MetaGraphDef) -> None:
    v1.train.write_graph(meta_graph.graph_def, str(zoo), "graph.pbtxt", as_text=True)


PLACES: dict[str, Callable[[Path, MetaGraphDef], object]] = {
    "other stem": lambda zoo, graph: put_meta(zoo, graph, "model-2018.meta"),
    "above": lambda zoo, graph: put_meta(zoo, graph, "../train.meta"),
    "beside": lambda zoo, graph: put_meta(zoo, graph, "../graph/model.ckpt-7.meta"),
    "text": put_text,
    "binary": lambda zoo, graph: (zoo / "g.pb").write_bytes(graph.graph_def.SerializeToString()),
    "no saver": lambda zoo, graph: (zoo / "g.pb").write_bytes(without_saver(graph)),
    "meta graph": lambda zoo, graph: (zoo / "g.pb").write_bytes(graph.SerializeToString()),
    "meta graph as text": lambda zoo, graph: (zoo / "g.pbtxt").write_text(str(graph)),
    "saved model": lambda zoo, graph: (zoo / "g.pb").write_bytes(as_saved_model(graph)),
    "events": lambda zoo, graph: write_events(zoo, graph),
    "events with meta": lambda zoo, graph: write_events(zoo, graph, True),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_graph_around_a_checkpoint_freezes_as_its_own_meta_graph_would(place, zoo, tmp_path):
    shutil.copy(tmp_path / "own", zoo / "model.ckpt.meta")
    right = frozen(record_of(tmp_path / "zoo"), tmp_path / "right")[1].read_bytes()
    (zoo / "model.ckpt.meta").unlink()
    PLACES[place](zoo, own(zoo))
    record = record_of(tmp_path / "zoo")
    provenance, path = frozen(record, tmp_path / "frozen")
    assert path.read_bytes() == right
    name = Path(record.graph.path).name
    assert name in provenance.sha256 and record.meta == record.graph.path
    assert any(f"the graph is that in {record.graph.path}" in finding for finding in record.findings)
    found = in_fresh_process(verified, record, provenance, path)
    assert (found["status"], found["match"]) == ("verified", "bitwise"), found


def test_the_meta_graph_of_a_checkpoint_elsewhere_is_taken_where_no_other_fits(zoo, tmp_path):
    shutil.copytree(zoo, zoo.parent / "train")
    shutil.copy(tmp_path / "own", zoo.parent / "train" / "model.ckpt.meta")
    source = sources(tmp_path / "zoo")["run/ckpt/model.ckpt"]
    record = imported(source, **OUT)
    assert record.graph.path.endswith("train/model.ckpt.meta")
    assert "a checkpoint of its own lies beside it" in record.findings[-1]
    put_text(zoo, own(zoo))
    assert imported(sources(tmp_path / "zoo")["run/ckpt/model.ckpt"], **OUT).graph.path.endswith("graph.pbtxt")


def other(build: Callable[[], None], **options) -> MetaGraphDef:
    """The meta graph of another model."""
    with tf.Graph().as_default() as graph:
        build()
        saver = v1.train.Saver(**options)
        return v1.MetaGraphDef(graph_def=graph.as_graph_def(), saver_def=saver.as_saver_def())


def relu() -> None:
    out = tf.matmul(kinds.features(), kinds.weights("w", [3, 4])) + kinds.weights("b", [4])
    tf.nn.relu(out, name="out")


def test_of_different_graphs_that_fit_none_is_taken(zoo, tmp_path):
    (zoo / "a.pb").write_bytes(own(zoo).graph_def.SerializeToString())
    assert record_of(tmp_path / "zoo").graph.path.endswith("a.pb")
    put_meta(zoo, other(relu), "../relu.meta")
    found = problem(tmp_path / "zoo")
    assert found.cause == "no_meta_graph" and "different graphs restore exactly its tensors" in found.message
    assert f"{zoo}/a.pb" in found.message and "relu.meta" in found.message
    assert f"`input_graph: {zoo}/a.pb, restore_op_name: save/restore_all" in found.hint
    assert "`input_meta_graph: " in found.hint
    named = record_of(tmp_path / "zoo", input_meta_graph=str(zoo.parent / "relu.meta"))
    assert named.graph.path.endswith("relu.meta")


def test_one_graph_in_several_forms_is_one(zoo, tmp_path):
    put_text(zoo, own(zoo))
    write_events(zoo, own(zoo), True)
    (zoo / "inference.pb").write_bytes(without_saver(own(zoo)))
    assert record_of(tmp_path / "zoo").graph.form == "events", "it has the SaverDef"
    put_meta(zoo, own(zoo), "../run.meta")
    assert record_of(tmp_path / "zoo").graph.form == "meta_graph"
    next(zoo.glob("*tfevents*")).unlink()
    (zoo.parent / "run.meta").unlink()
    assert record_of(tmp_path / "zoo").graph.path.endswith("graph.pbtxt"), "it is larger"


def test_a_frozen_graph_is_told(zoo, tmp_path):
    nodes = [node for node in own(zoo).graph_def.node if "Variable" not in node.op and node.op != "Assign"]
    (zoo / "frozen.pb").write_bytes(v1.GraphDef(node=nodes).SerializeToString())
    found = problem(tmp_path / "zoo")
    assert found.cause == "no_meta_graph" and f"{zoo}/frozen.pb has no variables: it is frozen already" in found.message
    assert f"{zoo}/model.ckpt.meta is missing" in found.message and "input_graph:" in found.hint


def more() -> None:
    kinds.plain(False)()
    kinds.weights("step", [1])


def less() -> None:
    tf.matmul(kinds.features(), kinds.weights("w", [3, 4]), name="out")


def half() -> None:
    tf.matmul(kinds.features(), tf.cast(kinds.weights("w", [3, 4]), tf.float32), name="out")
    v1.get_variable("b", initializer=tf.zeros([4], tf.float16))


def wide() -> None:
    tf.nn.bias_add(tf.matmul(kinds.features(), kinds.weights("w", [3, 5])), kinds.weights("b", [5]), name="out")


@pytest.mark.parametrize("with_saver", [True, False])
@pytest.mark.parametrize(
    ("build", "says"),
    [
        (more, "(step)"),
        (less, "does not restore 1 tensors of the checkpoint (b)"),
        (half, "variable 'b' is half, but tensor 'b' is float"),
        (wide, "has shape [3, 5], but tensor 'w' has [3, 4]"),
    ],
)
def test_a_graph_that_restores_other_tensors_is_not_taken(build, says, with_saver, zoo, tmp_path):
    meta_graph = other(build)
    (zoo / "g.pb").write_bytes(meta_graph.SerializeToString() if with_saver else without_saver(meta_graph))
    found = problem(tmp_path / "zoo")
    assert found.cause == "no_meta_graph" and f"{zoo}/g.pb" in found.message and says in found.message, found.message


@pytest.mark.parametrize("content", [b"", b"item { id: 1 }", b"\x08\x01", b"version https://git-lfs", b"\xff" * 40])
@pytest.mark.parametrize("name", ["labels.pbtxt", "g.pb", "other.meta", "events.out.tfevents.1.host"])
def test_what_is_no_graph_is_told_and_does_not_keep_one_from_being_found(name, content, zoo, tmp_path):
    (zoo / name).write_bytes(content)
    found = problem(tmp_path / "zoo")
    assert found.cause == "no_meta_graph" and f"{zoo}/{name}" in found.message
    (zoo / "zz.pb").write_bytes(own(zoo).graph_def.SerializeToString())
    assert record_of(tmp_path / "zoo").graph.path.endswith("zz.pb")


def test_local_variables_of_a_graph_that_knows_its_saver_need_no_tensor(zoo, tmp_path):
    def build() -> None:
        kinds.plain(False)()
        v1.get_variable("count", initializer=0.0, collections=[v1.GraphKeys.LOCAL_VARIABLES])

    meta_graph = other(build)
    (zoo / "g.pb").write_bytes(meta_graph.graph_def.SerializeToString())
    assert record_of(tmp_path / "zoo").graph.restore_op_name == "save/restore_all"
    (zoo / "g.pb").write_bytes(without_saver(meta_graph))
    assert "has 1 variables for which the checkpoint has no tensor (count)" in problem(tmp_path / "zoo").message


def swapped() -> None:
    """Two variables of one shape, each saved as the other."""
    tf.add(tf.matmul(kinds.features(4), kinds.weights("first", [4, 4])), 0.0, name="first_out")
    tf.matmul(v1.get_default_graph().get_tensor_by_name("first_out:0"), kinds.weights("other", [4, 4]), name="out")


def swapping_saver() -> v1.train.Saver:
    first, second = v1.global_variables()
    return v1.train.Saver({"first": second, "other": first})


def saved_swapped(directory: Path, savers: Callable[[], list]) -> v1.GraphDef:
    """Saves the model with the last of the savers, without a meta graph."""
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        swapped()
        made = savers()
        session.run(v1.global_variables_initializer())
        made[-1].save(session, str(directory / "model.ckpt"), write_meta_graph=False, write_state=False)
        return graph.as_graph_def()


def test_a_graph_goes_by_the_saver_it_was_built_with_rather_than_by_names(tmp_path):
    zoo = tmp_path / "zoo" / "m"
    zoo.mkdir(parents=True)
    graph_def = saved_swapped(zoo, lambda: [swapping_saver()])
    (zoo / "g.pb").write_bytes(graph_def.SerializeToString())
    record = record_of(tmp_path / "zoo")
    assert {row.variable: row.key for row in record.variables} == {"first": "other", "other": "first"}
    provenance, path = frozen(record, tmp_path / "frozen")
    found = in_fresh_process(verified, record, provenance, path)
    assert (found["status"], found["match"]) == ("verified", "bitwise"), found


def test_savers_that_restore_into_different_variables_are_told(tmp_path):
    zoo = tmp_path / "zoo" / "m"
    zoo.mkdir(parents=True)
    graph_def = saved_swapped(zoo, lambda: [v1.train.Saver(), swapping_saver()])
    (zoo / "g.pb").write_bytes(graph_def.SerializeToString())
    found = problem(tmp_path / "zoo")
    assert "savers that restore the tensors into different variables" in found.message
    assert "restore_op_name: save_1/restore_all, filename_tensor_name: save_1/Const:0`" in found.message
    names = {"restore_op_name": "save_1/restore_all", "filename_tensor_name": "save_1/Const:0"}
    record = record_of(tmp_path / "zoo", **names)
    assert {row.variable: row.key for row in record.variables} == {"first": "other", "other": "first"}


def test_a_graph_that_restores_a_part_of_a_tensor_is_not_taken(tmp_path):
    zoo = tmp_path / "zoo" / "m"
    zoo.mkdir(parents=True)
    kinds.save(kinds.partitioned(0, 3), zoo)
    meta_graph = read_meta_graph(zoo / "model.ckpt.meta")
    (zoo / "model.ckpt.meta").rename(zoo / "whole.meta")
    assert record_of(tmp_path / "zoo").graph.path.endswith("whole.meta")
    group = next(node for node in meta_graph.graph_def.node if node.name == "save/restore_all")
    group.input.remove("^save/Assign_2")
    (zoo / "whole.meta").write_bytes(meta_graph.SerializeToString())
    assert "restores parts of 1 tensors only (w)" in problem(tmp_path / "zoo").message


def test_an_events_file_may_be_named(zoo, tmp_path):
    path = write_events(zoo, own(zoo), True).rename(tmp_path / "events.out.tfevents.1.host")
    record = record_of(tmp_path / "zoo", input_graph=str(path))
    assert record.graph.form == "events" and not any("the graph is that in" in finding for finding in record.findings)


def test_more_files_than_are_looked_into(zoo, tmp_path):
    for number in range(70):
        (zoo / f"g{number:02d}.pb").write_bytes(b"%d" % number)
    found = problem(tmp_path / "zoo")
    assert found.cause == "no_meta_graph" and "70 or more files" in found.message


def test_a_named_frozen_graph_is_judged_against_the_graph_that_is_found(zoo, tmp_path):
    put_text(zoo, own(zoo))
    _, path = frozen(record_of(tmp_path / "zoo"), tmp_path / "frozen")
    found = in_fresh_process(judged, source_of(tmp_path / "zoo"), str(path))
    assert found == "verified"


def judged(source: Model, path: str) -> str:
    from permafrost import recording
    from permafrost.records import JudgedFile

    record = recording.begun(JudgedFile, "m")
    judge_file.judge(path, source, default_settings(timeout=120, judge=path), record)
    return record.status
