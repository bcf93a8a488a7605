"""The judge: it says yes to what the freezer makes, and no to every damage done to it."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from msgspec.structs import replace

from conftest import SAMPLE_ZOO
from fresh_process import in_fresh_process
from judged import verified
from permafrost import whole_files
from permafrost.judge import sessions
from permafrost.outcome import MISMATCH, UNVERIFIABLE, VERIFIED
from stages import default_settings, frozen, imported, sources

GOOD = {id: source for id, source in sources(SAMPLE_ZOO).items() if not id.startswith("broken_")}
CONFIGURED = {
    "linear/model.ckpt": {"outputs": ["predictions"]},
    "conv_batchnorm/model.ckpt": {"outputs": ["logits", "prediction"]},
    "cond/model.ckpt": {"outputs": ["scores"]},
    "functions/model.ckpt": {"outputs": ["probabilities"]},
}


def judged(record: dict, provenance: dict, path: Path, **settings) -> dict:
    """The outcome of `verify` with the facts it found."""
    return in_fresh_process(verified, record, provenance, path, default_settings(timeout=120, **settings))


def made(id: str, directory: Path):
    record = imported(GOOD[id], **CONFIGURED.get(id, {}))
    provenance, path = frozen(record, directory)
    return record, provenance, path


@pytest.mark.parametrize("id", sorted(CONFIGURED))
def test_an_undamaged_graph_is_verified(id, tmp_path):
    found = judged(*made(id, tmp_path))
    assert found["status"] == VERIFIED, found
    assert found["match"] == "bitwise" and found["control"]["tried"] >= 1 and found["weights"] >= 2


def in_threads(record: dict, provenance: dict, path: Path, threads: int) -> dict:
    pools = ("intra_op_parallelism_threads", "inter_op_parallelism_threads")
    sessions.ENVIRONMENT.update(dict.fromkeys(pools, threads))
    return verified(record, provenance, path, default_settings(trials=20))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("id", ["conv_batchnorm/model.ckpt", "lstm_while/lstm.ckpt", "functions/model.ckpt"])
def test_no_seed_is_a_mismatch_on_a_busy_machine(id, threads, tmp_path):
    """Twenty seeds, with as much other work as there are cores twice over."""
    record, provenance, path = made(id, tmp_path)
    loop = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(loop) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        found = in_fresh_process(in_threads, record, provenance, path, threads)
    finally:
        for process in others:
            process.kill()
            process.wait()
    assert (found["status"], found["match"], found["trials"]) == ("verified", "bitwise", 20)


def flip_a_bit(graph_def):
    node = next(n for n in graph_def.node if n.op == "Const" and len(n.attr["value"].tensor.tensor_content) > 64)
    content = bytearray(node.attr["value"].tensor.tensor_content)
    content[-4] ^= 1
    node.attr["value"].tensor.tensor_content = bytes(content)


def swap_inputs(graph_def):
    node = next(n for n in graph_def.node if n.op == "MatMul")
    first, second = node.input[0], node.input[1]
    node.input[0], node.input[1] = second, first


def replace_an_op(graph_def):
    next(n for n in graph_def.node if n.op == "Relu").op = "Tanh"


def change_an_attribute(graph_def):
    node = next(n for n in graph_def.node if n.op in ("Conv2D", "MaxPool"))
    node.attr["padding"].s = b"SAME" if node.attr["padding"].s == b"VALID" else b"VALID"


def change_a_constant(graph_def):
    node = next(n for n in graph_def.node if n.op == "Const" and n.attr["value"].tensor.float_val)
    node.attr["value"].tensor.float_val[0] += 1e-3


def put_nan_in(graph_def):
    node = next(n for n in graph_def.node if n.op == "Const" and len(n.attr["value"].tensor.tensor_content) > 64)
    content = bytearray(node.attr["value"].tensor.tensor_content)
    content[:4] = np.float32(np.nan).tobytes()
    node.attr["value"].tensor.tensor_content = bytes(content)


def drop_the_output(graph_def):
    del graph_def.node[[n.name for n in graph_def.node].index("prediction")]


def add_a_node(graph_def):
    graph_def.node.add(name="stowaway", op="NoOp")


@pytest.mark.parametrize(
    "damage",
    [flip_a_bit, swap_inputs, replace_an_op, change_an_attribute, change_a_constant, put_nan_in, drop_the_output,
     add_a_node],
)  # fmt: skip
def test_damage_is_noticed(damage, tmp_path):
    record, provenance, path = made("conv_batchnorm/model.ckpt", tmp_path)
    graph_def = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    before = copy.deepcopy(graph_def)
    damage(graph_def)
    assert graph_def != before
    path.write_bytes(graph_def.SerializeToString(deterministic=True))
    provenance.frozen_bytes, provenance.frozen_crc32c = path.stat().st_size, whole_files.checksum(path)
    found = judged(record, provenance, path)
    assert found["status"] == MISMATCH, found


def test_weights_of_another_step_are_noticed(tmp_path):
    (newest,) = (source for id, source in GOOD.items() if id.startswith("v1_and_v2/"))
    older = replace(newest, prefix=newest.prefix.replace("-300", "-200"))
    provenance, path = frozen(imported(older), tmp_path)
    found = judged(imported(newest), provenance, path)
    assert (found["status"], found["cause"]) == (MISMATCH, "weights_differ")


def test_a_graph_that_does_not_run_is_unverifiable(tmp_path):
    record = imported(GOOD["linear/model.ckpt"], outputs=["predictions"], inputs={"input_holder": [1.0, 2.0, 3.0]})
    provenance, path = frozen(record, tmp_path)
    found = judged(record, provenance, path)
    assert (found["status"], found["cause"]) == (UNVERIFIABLE, "bad_feed"), found
    assert "input_holder" in found["message"]


def test_another_file_than_the_provenance_describes_is_not_judged(tmp_path):
    record, provenance, path = made("linear/model.ckpt", tmp_path)
    path.write_bytes(path.read_bytes() + b"\x00")
    with pytest.raises(Exception, match="not the file that its provenance"):
        judged(record, provenance, path)
