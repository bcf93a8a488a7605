"""The sample zoo is what its program makes, and each model is of the kind that its name says."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.python.training.checkpoint_state_pb2 import CheckpointState

v1 = tf.compat.v1
MODELS = Path(__file__).parents[2] / "models"

X = np.linspace(-1, 1, 24, dtype=np.float32)

# Prefix -> outputs, feeds, and op types that make the model one of its kind.
GOOD = {
    "linear/model.ckpt": (["predictions"], {"input_holder": [10]}, {"Add", "VariableV2"}),
    "sum/sum.ckpt": (["sum_operation"], {"var1": 1}, {"Add", "VariableV2"}),
    "v1_and_v2/model.ckpt-300": (["result"], {"x": [1, 2, 3]}, {"VariableV2"}),
    "conv_batchnorm/model.ckpt-1200": (
        ["logits", "prediction"],
        {"images": np.linspace(0, 1, 128).reshape(2, 8, 8, 1), "is_training": False},
        {"Conv2D", "Switch", "Merge", "ApplyAdam", "ScalarSummary", "PlaceholderWithDefault"},
    ),
    "lstm_while/lstm.ckpt-50": (
        ["probabilities"],
        {"sequence": np.resize(X, (2, 7, 5))},
        {"Enter", "Exit", "NextIteration", "LoopCond", "TensorArrayV3"},
    ),
    "cond/model.ckpt": (["scores"], {"x": X.reshape(6, 4)}, {"Switch", "Merge"}),
    "embedding/text.ckpt-900": (["probabilities"], {"words": [[1, 2, 3, 4, 5, 39]]}, {"SparseApplyAdagrad"}),
    "resource_variables/model.ckpt": (
        ["output"],
        {"words": [[0, 1, 2, 19]]},
        {"VarHandleOp", "ReadVariableOp", "ResourceGather", "ResourceApplyGradientDescent"},
    ),
    "functions/model.ckpt": (["probabilities"], {"x": X.reshape(6, 4)}, {"While", "If", "VarHandleOp"}),
    "partitioned/model.ckpt": (["output"], {"x": X[:20].reshape(2, 10)}, {"VariableV2", "ConcatV2"}),
    "two_shards/model.ckpt-10": (["output"], {"x": X.reshape(6, 4)}, {"ShardedFilename", "MergeV2Checkpoints"}),
    "v1_format/model.ckpt-0": (["Softmax"], {"x": X.reshape(8, 3)}, {"Variable", "SaveSlices", "RestoreSlice"}),
    "ema/model.ckpt-700": (["probabilities"], {"x": X.reshape(6, 4)}, {"VariableV2"}),
    "lookup_table/model.ckpt": (
        ["output"],
        {"words": [["ice", "snow", "fog"]]},
        {"HashTableV2", "InitializeTableV2", "LookupTableFindV2"},
    ),
    "two_networks/actor-5": (["action"], {"state": X.reshape(6, 4)}, {"VariableV2"}),
    "two_networks/critic-5": (["value"], {"state": X[:8].reshape(2, 4), "action": X[:4].reshape(2, 2)}, {"VariableV2"}),
    "spaces_and_text/my model v1.2": (["output"], {"x": X.reshape(12, 2)}, {"VariableV2"}),
    "no_name/-300": (["output"], {"x": X.reshape(12, 2)}, {"VariableV2"}),
}


def files(directory: Path) -> dict[str, bytes]:
    """Every file below `directory` but the programs, by its relative path."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }


def restored(prefix: str) -> tuple[v1.Session, tf.Graph]:
    """A session of the model's own graph, restored by its own saver, lookup tables filled."""
    path = MODELS / prefix
    meta = path.with_name(path.name + ".meta")
    if not meta.exists():
        meta = path.with_name("model.ckpt-100.meta")
    with tf.Graph().as_default() as graph:
        saver = v1.train.import_meta_graph(str(meta), clear_devices=True)
        session = v1.Session()
        saver.restore(session, str(path))
        session.run(v1.get_collection(v1.GraphKeys.TABLE_INITIALIZERS))
    return session, graph


def run(session: v1.Session, output: str, feeds: dict) -> np.ndarray:
    return session.run(f"{output}:0", {f"{name}:0": value for name, value in feeds.items()})


def frozen_names(prefix: str, output: str) -> list[str]:
    session, graph = restored(prefix)
    with session:
        frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), [output])
    return [node.name for node in frozen.node]


def checkpoint_tensors(prefix: str) -> dict[str, np.ndarray]:
    reader = v1.train.NewCheckpointReader(str(MODELS / prefix))
    return {key: reader.get_tensor(key) for key in reader.get_variable_to_shape_map()}


def test_the_program_makes_the_files_that_are_here(tmp_path):
    subprocess.run([sys.executable, str(MODELS / "make_models.py"), str(tmp_path)], check=True, capture_output=True)
    made, here = files(tmp_path), files(MODELS)
    assert sorted(made) == sorted(here)
    assert [name for name in made if made[name] != here[name]] == []


def test_the_zoo_is_small():
    assert sum(len(content) for content in files(MODELS).values()) < 1_000_000


def test_every_directory_is_named_here():
    directories = {path.name for path in MODELS.iterdir() if path.is_dir() and path.name != "__pycache__"}
    good = {prefix.split("/")[0] for prefix in GOOD}
    assert len(good) >= 12 and good <= directories
    assert len(directories - good) == 4
    assert all(name.startswith("broken_") for name in directories - good)


@pytest.mark.parametrize("prefix", GOOD)
def test_a_good_model_restores_and_runs(prefix):
    outputs, feeds, kind = GOOD[prefix]
    session, graph = restored(prefix)
    with session:
        assert kind <= {op.type for op in graph.get_operations()}
        for output in outputs:
            value = run(session, output, feeds)
            assert value.size and np.isfinite(value).all()
            assert np.any(value != 0) or output == "prediction"


def test_linear():
    session, graph = restored("linear/model.ckpt")
    with session:
        assert run(session, "predictions", {"input_holder": [10]}).tolist() == [101.0]
    assert len(graph.get_operations()) == 27
    names = frozen_names("linear/model.ckpt", "predictions")
    assert sorted(names) == sorted(
        ["input_holder", "W1", "W1/read", "mul", "B1", "B1/read", "add", "fifty", "predictions"]
    )


def test_sum():
    session, graph = restored("sum/sum.ckpt")
    with session:
        assert run(session, "sum_operation", {"var1": 1}) == 1051
    tensors = {op.name: str(op.outputs[0]) for op in graph.get_operations() if op.outputs}
    assert tensors["var1_var2"] == 'Tensor("var1_var2:0", dtype=int32)'
    assert tensors["var2"] == 'Tensor("var2:0", shape=(), dtype=int32_ref)'
    assert tensors["sum_var3"] == 'Tensor("sum_var3:0", shape=(), dtype=int32)'
    assert graph.get_operation_by_name("var1_var2").type == "Add"
    names = frozen_names("sum/sum.ckpt", "sum_operation")
    assert "sum" not in names and "var4" in names


@pytest.mark.parametrize("step", [100, 200, 300])
def test_v1_and_v2_counts_its_steps(step):
    count = step // 100
    tensors = checkpoint_tensors(f"v1_and_v2/model.ckpt-{step}")
    assert tensors["v1"].tolist() == [count] * 3
    assert tensors["v2"].tolist() == [-count] * 5
    session, _ = restored(f"v1_and_v2/model.ckpt-{step}")
    with session:
        assert run(session, "result", {"x": [1, 2, 3]}).tolist() == [6 * count - count] * 5


def test_v1_and_v2_has_one_meta_graph_and_a_foreign_checkpoint_file():
    assert [path.name for path in (MODELS / "v1_and_v2").glob("*.meta")] == ["model.ckpt-100.meta"]
    content = (MODELS / "v1_and_v2" / "checkpoint").read_text()
    state = text_format.Parse(content, CheckpointState())
    assert Path(state.model_checkpoint_path).name == "model.ckpt-300"
    assert Path(state.model_checkpoint_path).is_absolute() and not Path(state.model_checkpoint_path).parent.exists()


def test_ema_restores_the_averages_and_not_the_raw_weights():
    tensors = checkpoint_tensors("ema/model.ckpt-700")
    session, _ = restored("ema/model.ckpt-700")
    with session:
        for name in ("net/weights", "net/biases"):
            value = run(session, name, {})
            assert value.tobytes() == tensors[f"{name}/ExponentialMovingAverage"].tobytes()
            assert not np.array_equal(value, tensors[name])


def test_partitioned_variables_are_slices_of_one_key():
    tensors = checkpoint_tensors("partitioned/model.ckpt")
    assert {key: value.shape for key, value in tensors.items()} == {"net/weights": (10, 4), "net/biases": (4,)}
    session, graph = restored("partitioned/model.ckpt")
    with session:
        parts = [run(session, f"net/weights/part_{i}", {}) for i in range(3)]
    assert np.array_equal(np.concatenate(parts), tensors["net/weights"])


def test_batch_norm_uses_its_averages_unless_training():
    feeds = dict(GOOD["conv_batchnorm/model.ckpt-1200"][1])
    session, _ = restored("conv_batchnorm/model.ckpt-1200")
    with session:
        inference = run(session, "logits", feeds)
        training = run(session, "logits", {**feeds, "is_training": True})
    assert not np.allclose(inference, training)


def test_two_shards_name_the_tasks_of_a_cluster():
    meta_graph = v1.MetaGraphDef.FromString((MODELS / "two_shards" / "model.ckpt-10.meta").read_bytes())
    devices = {node.device for node in meta_graph.graph_def.node}
    assert {"/job:ps/task:0/device:CPU:0", "/job:ps/task:1/device:CPU:0"} <= devices
    assert len(list((MODELS / "two_shards").glob("*.data-*-of-00002"))) == 2


BROKEN = ["broken_lfs_pointer/model.ckpt", "broken_missing_shard/model.ckpt-10", "broken_truncated/model.ckpt"]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_data_file_cannot_be_restored(name):
    with pytest.raises(tf.errors.OpError):
        restored(name)


def test_the_tf2_one_is_object_based_and_has_no_meta_graph():
    tensors = checkpoint_tensors("broken_tf2/ckpt-1")
    assert "_CHECKPOINTABLE_OBJECT_GRAPH" in tensors
    assert list((MODELS / "broken_tf2").glob("*.meta")) == []
