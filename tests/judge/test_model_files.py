"""What the sandbox lets TensorFlow read of a model: all that it needs, whatever its files are called, and no more."""

import os
from pathlib import Path
from types import SimpleNamespace

from msgspec.structs import replace

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

import kinds
from fresh_process import in_fresh_process
from judged import verified
from kinds import features, weights
from permafrost.checkpoint.reader import open_checkpoint
from permafrost.graph.metagraph import read_meta_graph
from permafrost.judge import model_files
from permafrost.model import Graph, Settings
from permafrost.sandbox import landlock
from permafrost.stages import import_model
from permafrost.workflow.pipeline import Pipeline
from permafrost.zoo import discovery
from stages import default_settings, frozen, imported, problem_of, sources

v1 = tf.compat.v1
without_landlock = pytest.mark.skipif(
    not landlock.abi(), reason="the kernel has no Landlock, or does not let it be used"
)


def judged(record: dict, directory: Path, **settings) -> dict:
    """What becomes of a model in the sandbox: the facts of a trial run, and of its judgement."""
    return in_fresh_process(_judged, record, *frozen(record, directory), default_settings(timeout=120, **settings))


def _judged(record: dict, provenance: dict, path: Path, settings: Settings) -> dict:
    import_model.rehearse(settings, record)
    return verified(record, provenance, path, settings) | {"rehearsal": record.rehearsal}


def check(record: dict, directory: Path, **settings) -> None:
    found = judged(record, directory, **settings)
    assert (found["status"], found["match"], found["rehearsal"]) == ("verified", "bitwise", ""), found


def only_source(directory: Path) -> dict:
    (source,) = sources(directory).values()
    return source


# How the files of a checkpoint may be called. TensorFlow takes names for patterns.
NAMES = ["model.ckpt", "m[1]*{a}.ckpt", "what?.ckpt", "back\\slash", "-?????-of-00002x", "ümlaut", "\udcff.ckpt"]


def renamed(directory: Path, name: str) -> None:
    """Gives the one checkpoint in a directory another name."""
    for path in list(directory.iterdir()):
        path.rename(directory / path.name.replace("model.ckpt", name))


@pytest.mark.parametrize(
    ("name", "version", "sharded"),
    [*((name, "V1", True) for name in NAMES), *((name, "V2", False) for name in NAMES), (NAMES[1], "V1", False),
     (NAMES[1], "V2", True)],
)  # fmt: skip
def test_every_format_and_name_is_read(name, version, sharded, tmp_path):
    zoo = tmp_path / "zoo [1]"
    zoo.mkdir()
    options = {"write_version": getattr(v1.train.SaverDef, version), "sharded": sharded}
    kinds.save(kinds.partitioned(0, 3), zoo, **options)
    renamed(zoo, name)
    check(imported(only_source(zoo), outputs=["out"]), tmp_path / "frozen")


@pytest.mark.parametrize("version", ["V1", "V2"])
@pytest.mark.parametrize("relative", [False, True])
def test_links_are_followed_to_their_files(version, relative, tmp_path):
    zoo, store = tmp_path / "zoo", tmp_path / "store"
    zoo.mkdir()
    store.mkdir()
    kinds.save(kinds.plain(False), store, write_version=getattr(v1.train.SaverDef, version), sharded=True)
    for number, path in enumerate(list(store.iterdir())):
        blob = path.rename(store / f"blob{number}")
        (zoo / path.name).symlink_to(os.path.relpath(blob, zoo) if relative else blob)
    (source,) = discovery.select(discovery.scan([str(zoo)], [], {}, follow_links=True), lambda series, zoo: "latest")
    check(imported(source, outputs=["out"]), tmp_path / "frozen")


def test_a_directory_that_is_a_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    kinds.save(kinds.plain(True), tmp_path / "real")
    (tmp_path / "zoo").symlink_to("real")
    check(imported(only_source(tmp_path / "zoo"), outputs=["out"]), tmp_path / "frozen")


def test_a_graph_and_its_saver_lie_elsewhere(tmp_path):
    zoo, other = tmp_path / "zoo", tmp_path / "other"
    zoo.mkdir()
    other.mkdir()
    kinds.save(kinds.plain(False), zoo)
    meta_graph = read_meta_graph(zoo / "model.ckpt.meta")
    (other / "graph.pbtxt").write_text(str(meta_graph.graph_def))
    (other / "saver.pb").write_bytes(meta_graph.saver_def.SerializeToString())
    source = only_source(zoo)
    graph = Graph(form="graph_def", path=str(other / "graph.pbtxt"), saver=str(other / "saver.pb"))
    os.remove(source.meta)
    check(imported(replace(source, graph=graph), outputs=["out"]), tmp_path / "frozen")


def test_what_is_fed_from_a_file_is_read(tmp_path, monkeypatch):
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    kinds.save(kinds.plain(False), zoo)
    (tmp_path / "feeds").mkdir()
    np.savez(tmp_path / "feeds" / "x.npz", x=np.ones([2, 3], np.float32))
    monkeypatch.chdir(tmp_path)
    record = imported(only_source(zoo), outputs=["out"], inputs={"x": {"file": "feeds/x.npz"}})
    check(record, tmp_path / "frozen")


def test_a_saved_models_assets_are_its_own(tmp_path):
    directory = tmp_path / "zoo" / "saved"
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        kinds.plain(False)()
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(
            session, str(directory), {"x": graph.get_tensor_by_name("x:0")}, {"out": graph.get_tensor_by_name("out:0")}
        )
    (directory / "assets").mkdir()
    record = imported(only_source(tmp_path / "zoo"), outputs=["out"])
    found = model_files.readable(record, default_settings())
    assert {os.path.relpath(path, directory) for path in found} == {
        "saved_model.pb", "assets", "variables/variables.index", "variables/variables.data-00000-of-00001",
    }  # fmt: skip
    check(record, tmp_path / "frozen")
    (directory / "assets").rmdir()
    (directory / "assets").symlink_to("/")
    assert set(found) - set(model_files.readable(record, default_settings())) == {str(directory / "assets")}


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_the_models_files_are_named_one_by_one(version, tmp_path, monkeypatch):
    kinds.save(kinds.plain(False), tmp_path, write_version=getattr(v1.train.SaverDef, version), sharded=True)
    monkeypatch.chdir(tmp_path)
    source = only_source(Path("."))
    record = imported(source, outputs=["out"])
    with open_checkpoint(source.prefix) as checkpoint:
        files = [os.path.abspath(path) for path in (*checkpoint.files, source.meta)]
    assert all(map(os.path.isfile, files))
    others = [str(tmp_path / "words"), str(tmp_path / "frozen.pb")]
    (tmp_path / "words").mkdir()
    assert model_files.readable(record, default_settings(allow_paths=["words"]), "frozen.pb") == files + others


# What the settings allow an op to read.


def vocabulary(path: Path):
    def build() -> None:
        word = tf.strings.length(tf.io.read_file(str(path)))
        tf.add(tf.matmul(features(), weights("w", [3, 4])), tf.cast(word, tf.float32), name="out")

    return build


@pytest.fixture
def reader(tmp_path, monkeypatch) -> dict:
    """The record of a model whose output depends on the length of a file in another directory."""
    (tmp_path / "zoo").mkdir()
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "list.txt").write_text("snow\nice\n")
    monkeypatch.chdir(tmp_path)
    kinds.save(vocabulary(tmp_path / "words" / "list.txt"), tmp_path / "zoo")
    return imported(only_source(tmp_path / "zoo"), outputs=["out"])


@pytest.mark.parametrize("allowed", ["words", "words/list.txt", "{}/words/list.txt"])
def test_an_op_reads_what_the_settings_allow(allowed, reader, tmp_path):
    check(reader, tmp_path / "frozen", allow_ops=["ReadFile"], allow_paths=[allowed.format(tmp_path)])


@without_landlock
def test_an_op_reads_nothing_else(reader, tmp_path):
    found = judged(reader, tmp_path / "frozen", allow_ops=["ReadFile"], allow_paths=["zoo"])
    assert (found["status"], found["cause"]) == ("unverifiable", "run_failed")
    for text in (found["message"], found["rehearsal"]):
        assert "list.txt" in text and "allow_paths" in text


def test_a_path_that_is_not_there_is_said(reader):
    for path in ("word", "words/list.txt/below", "a\0b"):
        problem = problem_of(model_files.readable, reader, default_settings(allow_paths=["words", path]))
        assert problem.cause == "bad_setting" and path in problem.message and "allow_paths" in problem.message


def test_a_changed_file_among_them_judges_the_model_again(reader, tmp_path):
    config = {
        "zoo": "zoo",
        "frozen": "frozen",
        "reports": "reports",
        "models": {"*": {"allow_paths": ["words/list.txt"]}},
    }
    wildcards = SimpleNamespace(model="model.ckpt")

    def passed() -> dict[str, str]:
        pipeline = Pipeline(config, scans=True, taken=[])
        return {stage: pipeline.settings(stage)(wildcards) for stage in ("import_meta", "freeze", "verify", "judge")}

    before = passed()
    (tmp_path / "words" / "list.txt").write_text("snow\nice\nhail\n")
    after = passed()
    assert [stage for stage in before if before[stage] != after[stage]] == ["import_meta", "verify", "judge"]
