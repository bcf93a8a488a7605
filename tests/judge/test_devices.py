"""Devices that the settings keep: the frozen graph has them, and is judged on a machine that has not."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
import tensorflow as tf

import kinds
from judged import said
from permafrost.graph.metagraph import read_meta_graph
from permafrost.graph.protos import graph_pb2
from permafrost.judge import judging
from stages import default_settings, frozen, imported, problem_of, sources

v1 = tf.compat.v1
FAR = ("/device:GPU:0", "/device:TPU:1", "/job:ps/task:1", "/job:worker/replica:0/task:3/device:GPU:2")
KINDS = {
    "references": kinds.plain(False),
    "resources": kinds.plain(True),
    "loop": kinds.while_loop(1, True),
    "lookup table": kinds.table_of_constants,
    "functional loop": kinds.while_loop(2, True),
    "function that captures": kinds.function_that_captures,
    "gather in a function": kinds.gather_in_a_function,
}


class Judged:
    """A model whose nodes ask for `device` once it was saved, frozen with devices or without."""

    def __init__(self, directory, build, device: str, clear_devices: bool):
        (directory / "zoo").mkdir()
        prefix = kinds.save(build, directory / "zoo")
        meta_graph = read_meta_graph(f"{prefix}.meta")
        library = meta_graph.graph_def.library.function
        for nodes in (meta_graph.graph_def.node, *(function.node_def for function in library)):
            for node in nodes:
                node.device = device
        prefix.with_name("model.ckpt.meta").write_bytes(meta_graph.SerializeToString(deterministic=True))
        changes = {"outputs": ["out"], "clear_devices": clear_devices}
        (source,) = sources(directory / "zoo").values()
        self.settings = default_settings(**changes)
        self.record = imported(source, **changes)
        self.provenance, self.path = frozen(self.record, directory, **changes)
        self.graph_def = graph_pb2.GraphDef.FromString(self.path.read_bytes())

    def judged(self) -> dict:
        self.path.write_bytes(self.graph_def.SerializeToString(deterministic=True))
        return said(judging.judge(self.record, self.provenance, str(self.path), self.settings, os.getcwd()))


@pytest.mark.parametrize("clear_devices", [True, False])
@pytest.mark.parametrize("device", FAR)
def test_a_device_that_is_not_here(device, clear_devices, tmp_path):
    model = Judged(tmp_path, kinds.plain(False), device, clear_devices)
    placed = {node.device for node in model.graph_def.node if node.op != "Const"}
    assert placed == {"" if clear_devices else device}
    found = model.judged()
    assert "finding" not in found and found["match"] == "bitwise" and found["control"]["variable"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_graph_is_judged_far_from_its_devices(kind, tmp_path):
    found = Judged(tmp_path, KINDS[kind], "/job:ps/task:1", clear_devices=False).judged()
    assert "finding" not in found and found["match"] == "bitwise"


@pytest.mark.parametrize(("clear_devices", "device"), [(False, ""), (False, "/cpu:0"), (True, "/job:ps/task:1")])
def test_another_device_is_noticed(clear_devices, device, tmp_path):
    model = Judged(tmp_path, kinds.plain(False), "/job:ps/task:1", clear_devices)
    next(node for node in model.graph_def.node if node.name == "out").device = device
    problem = problem_of(model.judged)
    assert problem.cause == "structure_differs" and "'out'" in problem.message and "device" in problem.message


def test_another_device_in_a_function_is_noticed(tmp_path):
    model = Judged(tmp_path, KINDS["function that captures"], "/job:ps/task:1", clear_devices=True)
    product = next(n for f in model.graph_def.library.function for n in f.node_def if n.op == "MatMul")
    assert product.device
    product.device = ""
    problem = problem_of(model.judged)
    assert problem.cause == "structure_differs" and "device" in problem.message
