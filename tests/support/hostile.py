"""Checkpoints whose graphs do harm when they are run, each with what is to become of it.

Every builder makes a graph with the output `out`, and the variable `w` that it is made of.
"""

import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from tensorflow.core.framework import summary_pb2

from kinds import control_flow

v1, raw = tf.compat.v1, tf.raw_ops

# name -> (builder, statuses and causes that are right)
HOSTILE: dict[str, tuple[Callable[[str], object], set[str]]] = {}
UNSAFE = {"unverifiable/unsafe_op"}


def hostile(*ends: str):
    """Registers a function of a path that must not come into being, or must not be read; it gives an op or a tensor."""

    def register(build: Callable) -> Callable:
        HOSTILE[build.__name__] = (build, set(ends))
        return build

    return register


@hostile("unverifiable/crash")
def abort(path: str):
    return raw.Abort(error_msg="on purpose")


@hostile("unverifiable/timeout")
def endless_loop(path: str):
    with control_flow(1):
        return v1.while_loop(lambda i: True, lambda i: i + 1.0, [tf.constant(0.0)])


@hostile("unverifiable/timeout")
def waits_for_ever(path: str):
    return raw.Unstage(dtypes=[tf.float32], shared_name="empty")[0]


@hostile("unverifiable/memory")
def too_much_memory(path: str):
    return tf.reduce_sum(tf.fill([1 << 18, 1 << 16], 1.0))


@hostile("unverifiable/memory")
def memory_bit_by_bit(path: str):
    with control_flow(1):
        grown = v1.while_loop(
            lambda i, x: i < 40,
            lambda i, x: (i + 1, tf.concat([x, x], 0)),
            [tf.constant(0), tf.ones([1 << 10])],
            shape_invariants=[tf.TensorShape([]), tf.TensorShape([None])],
        )
    return tf.reduce_sum(grown[1])


@hostile("verified")
def huge_prints(path: str):
    """64 lines of a megabyte in each run."""
    line = tf.strings.reduce_join(tf.fill([1 << 20], "#"))

    def step(i):
        with tf.control_dependencies([raw.PrintV2(input=line, output_stream="stderr")]):
            return i + 1

    with control_flow(1):
        return v1.while_loop(lambda i: i < 64, step, [tf.constant(0)])


@hostile("unverifiable/processes")
def hundreds_of_threads(path: str):
    with tf.control_dependencies([raw.ThreadPoolHandle(num_threads=600, display_name="many")]):
        return endless_loop(path)


@hostile("unverifiable/crash", "unverifiable/run_failed")
def writes_too_large_a_file(path: str):
    """Its settings allow the op, and a megabyte."""
    return raw.WriteFile(filename=path, contents=tf.strings.reduce_join(tf.fill([1 << 22], "#")))


@hostile(*UNSAFE)
def reads_a_file(path: str):
    return tf.io.read_file(path)


@hostile(*UNSAFE)
def writes_a_file(path: str):
    return raw.WriteFile(filename=path, contents="written")


@hostile(*UNSAFE)
def lists_files(path: str):
    return tf.io.matching_files("/etc/*")


@hostile(*UNSAFE)
def saves_tensors(path: str):
    return raw.SaveV2(prefix=path, tensor_names=["x"], shape_and_slices=[""], tensors=[tf.ones([2])])


@hostile(*UNSAFE)
def merges_checkpoints(path: str):
    return raw.MergeV2Checkpoints(checkpoint_prefixes=[path], destination_prefix=path)


@hostile(*UNSAFE)
def prints_to_a_file(path: str):
    return raw.PrintV2(input="written", output_stream=f"file://{path}")


@hostile("failed/unsupported_op")
def runs_python(path: str):
    return v1.py_func(lambda: 1.0, [], tf.float32)


@hostile(*UNSAFE)
def reads_lines_as_a_dataset(path: str):
    lines = raw.TextLineDataset(filenames=["/etc/passwd"], compression_type="", buffer_size=0)
    return raw.DatasetToSingleElement(dataset=lines, output_types=[tf.string], output_shapes=[[]])[0]


@hostile(*UNSAFE)
def caches_a_dataset(path: str):
    numbers = raw.RangeDataset(start=0, stop=9, step=1, output_types=[tf.int64], output_shapes=[[]])
    cached = raw.CacheDataset(input_dataset=numbers, filename=path, output_types=[tf.int64], output_shapes=[[]])
    return raw.DatasetToSingleElement(dataset=cached, output_types=[tf.int64], output_shapes=[[]])[0]


@hostile(*UNSAFE)
def writes_summaries(path: str):
    writer = raw.SummaryWriter(shared_name="w")
    opened = raw.CreateSummaryFileWriter(writer=writer, logdir=path, max_queue=1, flush_millis=1, filename_suffix="")
    with tf.control_dependencies([opened]):
        return raw.WriteScalarSummary(writer=writer, step=tf.constant(1, tf.int64), tag="t", value=1.0)


@hostile(*UNSAFE)
def imports_an_event(path: str):
    event = summary_pb2.Summary().SerializeToString()
    return raw.ImportEvent(writer=raw.SummaryWriter(shared_name="w"), event=event)


@hostile(*UNSAFE)
def sends_to_a_debugger(path: str):
    return raw.DebugIdentityV3(input=tf.ones([2]), device_name="", tensor_name="x", debug_urls=[f"file://{path}"])


@hostile(*UNSAFE)
def dumps_a_tensor(path: str):
    return raw.DebugIdentityV2(
        input=tf.ones([2]), tfdbg_context_id="c", op_name="o", output_slot=0, debug_urls=[f"file://{path}"]
    )


@hostile(*UNSAFE)
def decodes_by_a_descriptor_file(path: str):
    return raw.DecodeProtoV2(
        bytes=[b""], message_type="M", field_names=[], output_types=[], descriptor_source=path
    ).sizes


@hostile(*UNSAFE)
def maps_a_file_into_memory(path: str):
    return raw.ImmutableConst(dtype=tf.float32, shape=[2], memory_region_name="/etc/passwd")


@hostile(*UNSAFE)
def calls_a_server(path: str):
    address, timeout = tf.constant("127.0.0.1:1"), tf.constant(100, tf.int64)
    create = v1.get_default_graph().create_op
    return create("RpcClient", [address, timeout], [tf.resource, tf.string], attrs={}, name="client")


@hostile(*UNSAFE)
def talks_to_a_device(path: str):
    return raw.CollectiveReduceV2(
        input=[1.0], group_size=2, group_key=1, instance_key=1, ordering_token=[], merge_op="Add", final_op="Id"
    )


def make(directory: Path, forbidden: Path) -> None:
    """Writes a checkpoint of each kind as directory/<name>/model.ckpt; graphs name files below `forbidden`."""
    for name, (build, _) in HOSTILE.items():
        with tf.Graph().as_default() as graph:
            x = v1.placeholder(tf.float32, [None, 3], name="x")
            w = v1.get_variable("w", [3, 2], initializer=v1.ones_initializer(), use_resource=False)
            done = build(str(forbidden / name))
            with tf.control_dependencies([done]):
                tf.matmul(x, w, name="out")
            with v1.Session(graph=graph) as session:
                session.run(w.initializer)
                v1.train.Saver([w]).save(session, str(directory / name / "model.ckpt"))


if __name__ == "__main__":
    import sys

    make(Path(sys.argv[1]), Path(sys.argv[2]))
