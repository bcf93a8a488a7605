"""The ops that a stranger's graph may not run: which they are, and where a graph has them."""

import os
import re

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
import tensorflow  # noqa: F401 - which registers its ops
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session

from permafrost.graph.ops import unsafe
from permafrost.graph.protos import graph_pb2


@pytest.fixture(scope="module")
def registered():
    ops = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return {op.name: op for op in ops.op}


def test_every_unsafe_op_is_registered(registered):
    assert set(unsafe.UNSAFE_OPS) <= set(registered)


def test_what_looks_unsafe_is_in_the_list(registered):
    name = re.compile(
        r"Reader|PyFunc|SummaryWriter|SummaryFileWriter|SummaryDbWriter|^Write\w|ReadFile|Rpc|^_?(Host)?(Send|Recv)$|"
        r"Collective|Nccl|^Save|^Restore|Checkpoint|MatchingFiles|TextFile|DataService|^Debug(Id|Num|Nan)|SqlDataset|"
        r"LMDB|SnapshotDataset|CustomCall|Dump|TFRecord|ConfigureDistributedTPU|ConfigureTPU|EncodeProto|DecodeProto"
    )
    argument = re.compile(
        r"file_?name|filenames|_file\b|file_path|file_pattern|ckpt_path|^path$|_path$|^prefix$|logdir|directory|_dir$|"
        r"address|debug_urls|memory_region|descriptor_source|output_stream"
    )
    # Their names only sound like it.
    harmless = {"CollectivePermute", "TPUEmbeddingActivations"}
    missed = [
        op.name
        for op in registered.values()
        if (name.search(op.name) or any(argument.search(a.name) for a in [*op.input_arg, *op.attr]))
        and op.name not in unsafe.UNSAFE_OPS
        and op.name not in harmless
    ]
    assert missed == []


def test_common_ops_are_safe():
    common = (
        "Conv2D MatMul Print Assert ShardedFilename Const HashTableV2 OneShotIterator TensorSliceDataset Switch While"
    )
    assert not set(common.split()) & set(unsafe.UNSAFE_OPS)


def graph(*nodes, functions=()):
    result = graph_pb2.GraphDef()
    for name, op in nodes:
        result.node.add(name=name, op=op)
    for name, body in functions:
        function = result.library.function.add()
        function.signature.name = name
        for inner, op in body:
            function.node_def.add(name=inner, op=op)
    return result


def test_only_reachable_and_not_allowed_nodes_count():
    stranger = graph(("a", "ReadFile"), ("b", "WriteFile"), ("c", "MatMul"), ("d", "ReadFile"))
    found = unsafe.unsafe_nodes(stranger, ["a", "b", "c"], {"WriteFile"})
    assert [(name, op) for name, op, _ in found] == [("a", "ReadFile")]
    assert "file" in found[0][2]


def test_functions_are_walked_through_attributes_lists_and_direct_calls():
    stranger = graph(
        ("single", "PartitionedCall"),
        ("many", "Case"),
        ("direct", "outer"),
        functions=[
            ("outer", [("call", "While")]),
            ("inner", [("code", "PyFunc"), ("again", "outer")]),
            ("branch", [("save", "SaveV2")]),
            ("unused", [("net", "RpcCall")]),
        ],
    )
    stranger.node[0].attr["f"].func.name = "outer"
    stranger.node[1].attr["branches"].list.func.add().name = "branch"
    stranger.library.function[0].node_def[0].attr["body"].func.attr["nested"].func.name = "inner"
    single = unsafe.unsafe_nodes(stranger, ["single"], set())
    assert [row[:2] for row in single] == [("inner/code", "PyFunc")]
    assert [row[:2] for row in unsafe.unsafe_nodes(stranger, ["direct"], set())] == [("inner/code", "PyFunc")]
    assert [row[:2] for row in unsafe.unsafe_nodes(stranger, ["many"], set())] == [("branch/save", "SaveV2")]


@pytest.mark.parametrize(
    ("op", "attr", "harmless", "harmful"),
    [
        ("PrintV2", "output_stream", b"stdout", b"file:///tmp/x"),
        ("FixedUnigramCandidateSampler", "vocab_file", b"", b"/etc/passwd"),
        ("DecodeProtoV2", "descriptor_source", b"local://", b"/tmp/x.pb"),
        ("EncodeProto", "descriptor_source", b"bytes://abc", b"/tmp/x.pb"),
    ],
)
def test_some_ops_are_unsafe_only_with_a_file(op, attr, harmless, harmful):
    stranger = graph(("default", op), ("harmless", op), ("harmful", op), ("open", op))
    stranger.node[1].attr[attr].s = harmless
    stranger.node[2].attr[attr].s = harmful
    stranger.node[3].attr[attr].placeholder = "from_the_caller"
    names = [node.name for node in stranger.node]
    assert [row[0] for row in unsafe.unsafe_nodes(stranger, names, set())] == ["harmful", "open"]
