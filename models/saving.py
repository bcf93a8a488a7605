"""What the sample zoo's networks share: variables, sessions, and the files of a checkpoint."""

import contextlib
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import control_flow_pb2

v1 = tf.compat.v1

# Collections that hold serialized messages with maps.
CONTEXTS = {"cond_context": control_flow_pb2.CondContextDef, "while_context": control_flow_pb2.WhileContextDef}


def variable(name: str, shape: list[int], **options) -> tf.Variable:
    """A float32 variable with a random initialiser, as most code of the time has it; `options` as in get_variable."""
    return v1.get_variable(name, shape, initializer=v1.truncated_normal_initializer(stddev=0.1), **options)


def numbers(name: str, shape: list[int], low: float = -0.5, high: float = 0.5) -> np.ndarray:
    """Float32 numbers in [low, high) that depend on `name` and `shape` alone."""
    return np.random.default_rng(zlib.crc32(name.encode())).uniform(low, high, shape).astype(np.float32)


def assign(session: v1.Session, target: tf.Variable, value) -> None:
    """Gives a variable its value through its own initialiser, which leaves no further node in the graph."""
    session.run(target.initializer, {target.initializer.inputs[1]: value})


@contextlib.contextmanager
def session_of_weights(values: dict | None = None) -> Iterator[v1.Session]:
    """A session of the current graph where all is initialised and each trainable float variable holds `numbers`.

    `values` (variable name -> array) stands above that; it is how other variables, such as averages, get theirs.
    Two virtual CPUs let a graph name two devices.
    """
    with v1.Session(config=v1.ConfigProto(device_count={"CPU": 2})) as session:
        session.run(v1.global_variables_initializer())
        for trainable in v1.trainable_variables():
            if trainable.dtype.base_dtype == tf.float32:
                assign(session, trainable, numbers(trainable.op.name, trainable.shape.as_list()))
        for target in v1.global_variables():
            if values and target.op.name in values:
                assign(session, target, values[target.op.name])
        yield session


def write_meta_graph(path: Path, saver: v1.train.Saver, devices: dict[str, str] | None = None, text=False) -> None:
    """Writes the current graph and its saver to `path`; TensorFlow's own writer orders map entries by chance.

    `devices` (from -> to) renames the devices of nodes; `text` writes the text form of the message.
    """
    meta_graph = saver.export_meta_graph()
    for node in meta_graph.graph_def.node:
        node.device = (devices or {}).get(node.device, node.device)
    for name, message in CONTEXTS.items():
        if name in meta_graph.collection_def:
            contexts = meta_graph.collection_def[name].bytes_list.value
            contexts[:] = [message.FromString(context).SerializeToString(deterministic=True) for context in contexts]
    if text:
        path.write_text(text_format.MessageToString(meta_graph), encoding="utf-8")
    else:
        path.write_bytes(meta_graph.SerializeToString(deterministic=True))


def write_state(directory: Path, prefixes: list[str]) -> None:
    """Writes the `checkpoint` file that names `prefixes`, the last as the latest."""
    lines = [f'model_checkpoint_path: "{prefixes[-1]}"']
    lines += [f'all_model_checkpoint_paths: "{prefix}"' for prefix in prefixes]
    (directory / "checkpoint").write_text("\n".join(lines) + "\n", encoding="utf-8")


def save(directory: Path, prefix: str, *, saver=None, values=None, devices=None, text=False) -> None:
    """Saves the current graph: `directory/prefix`.{index, data-*, meta}, and the `checkpoint` file with a bare name."""
    saver = saver or v1.train.Saver()
    with session_of_weights(values) as session:
        saver.save(session, str(directory / prefix), write_meta_graph=False, write_state=False)
    write_meta_graph(directory / f"{prefix}.meta", saver, devices, text)
    write_state(directory, [prefix])


def dense(x: tf.Tensor, units: int, name: str, **options) -> tf.Tensor:
    """x [batch, n] @ weights [n, units] + biases [units], under the scope `name`."""
    with v1.variable_scope(name):
        weights = variable("weights", [x.shape.as_list()[-1], units], **options)
        return tf.nn.bias_add(tf.matmul(x, weights), variable("biases", [units], **options))
