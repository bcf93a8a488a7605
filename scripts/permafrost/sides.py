"""The two sides that the judge compares, each a TensorFlow graph whose every run begins in a fresh session."""

import contextlib
import zlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2
from tensorflow.python.framework import tensor_util

from permafrost import pruning
from permafrost.contract import Problem
from permafrost.metagraph import VARIABLE_OPS, GraphIndex, tensor_name

_v1 = tf.compat.v1


class RunFailed(Exception):
    """TensorFlow could not run a graph on a feed; `cause` is a key of permafrost.contract.CAUSES."""

    def __init__(self, cause: str, message: str):
        super().__init__(message)
        self.cause = cause


def seed_random_ops(graph_def) -> int:
    """Gives each random op an op seed made from its name, in memory, so that both sides draw the same numbers.

    Returns the number of such ops, those in library functions included.
    """
    count = 0
    for nodes in (graph_def.node, *(function.node_def for function in graph_def.library.function)):
        for node in nodes:
            if "seed" in node.attr and "seed2" in node.attr:
                node.attr["seed"].i = 1
                node.attr["seed2"].i = zlib.crc32(node.name.encode()) | 1
                count += 1
    return count


def _config():
    """Both optimisers off, since they may order the arithmetic of the two graphs differently; one thread; no GPU."""
    config = _v1.ConfigProto(
        intra_op_parallelism_threads=1, inter_op_parallelism_threads=1, device_count={"GPU": 0, "CPU": 1}
    )
    config.graph_options.optimizer_options.opt_level = _v1.OptimizerOptions.L0
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    config.graph_options.rewrite_options.constant_folding = rewriter_config_pb2.RewriterConfig.OFF
    return config


_FRAMES = ("Graph execution error", "Detected at node", "Node:", "Original stack trace", "File ", "Traceback", "[[")


def _sentence(error: Exception) -> str:
    """What went wrong, out of an error message that may be framed by traces."""
    text = getattr(error, "message", None) or str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(_FRAMES)]
    sentence = (telling or lines or [type(error).__name__])[0][:400]
    node = getattr(getattr(error, "node_def", None), "name", "")
    return f"node {node!r}: {sentence}" if node and node not in sentence else sentence


class _Side:
    """A graph to run. Subclasses fill `graph` and say how a session of theirs begins (`_begin`)."""

    def __init__(self):
        self.graph = tf.Graph()

    def _begin(self, session) -> None:
        raise NotImplementedError

    @contextlib.contextmanager
    def restored(self) -> Iterator:
        """A fresh session in which the variables have their values and the tables are filled."""
        with _v1.Session(graph=self.graph, config=_config()) as session:
            self._begin(session)
            yield session

    def run(self, fetches: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The values of the tensors `fetches` on `feed`, in a fresh session; feeds the graph lacks are left out.

        Raises RunFailed where TensorFlow refuses the feed or the graph fails on it, Problem (memory), and KeyError
        where the graph lacks a fetch.
        """
        present = {name: value for name, value in feed.items() if self.has(name)}
        with self.restored() as session:
            try:
                values = session.run(fetches, present)
            except tf.errors.ResourceExhaustedError as error:
                raise Problem("memory", f"TensorFlow ran out of memory: {_sentence(error)}") from error
            except tf.errors.OpError as error:
                raise RunFailed("run_failed", _sentence(error)) from error
            except (ValueError, TypeError) as error:
                raise RunFailed("bad_feed", _sentence(error)) from error
        return [np.asarray(value) for value in values]

    def has(self, name: str) -> bool:
        """Whether the graph has the tensor `name`."""
        try:
            self.graph.get_tensor_by_name(name)
        except (KeyError, ValueError):
            return False
        return True


class CheckpointSide(_Side):
    """The meta graph, pruned to what is run, restored from the checkpoint by the meta graph's own saver."""

    def __init__(self, meta_graph, imported: dict, initializers: list[str], tensors: list[str]):
        """Raises Problem (not_restorable) where TensorFlow cannot import the graph."""
        super().__init__()
        self._prefix = imported["prefix"]
        self._initializers = initializers
        self._saver = meta_graph.saver_def
        index = GraphIndex(meta_graph.graph_def)
        roots = [tensor_name(name)[0] for name in tensors] + initializers
        self._needed = pruning.needed(index, roots, with_colocated=False)
        restoring = [tensor_name(n)[0] for n in (self._saver.restore_op_name, self._saver.filename_tensor_name) if n]
        kept = self._needed | pruning.needed(index, restoring, with_colocated=False)
        graph_def = pruning.extract(index, kept)
        pruning.drop_foreign_colocation(graph_def)
        for node in graph_def.node:
            node.device = ""
            node.attr.pop("_output_shapes", None)
        info = meta_graph.meta_info_def
        producer_ops = info.stripped_op_list if info.HasField("stripped_op_list") else None
        self._variables = {n.name: n for n in graph_def.node if n.op in VARIABLE_OPS and n.name in self._needed}
        self._keys = {variable["variable"]: variable["key"] for variable in imported["variables"] if variable["key"]}
        self._reads, self._assigns = {}, {}
        with self.graph.as_default():
            try:
                tf.import_graph_def(graph_def, name="", producer_op_list=producer_ops)
            except (ValueError, TypeError, KeyError, tf.errors.OpError) as error:
                raise Problem(
                    "not_restorable", f"TensorFlow cannot import the meta graph: {_sentence(error)}"
                ) from error
            for name, node in self._variables.items():
                self._add_read(name, node)

    def _add_read(self, name: str, node) -> None:
        tensor = self.graph.get_tensor_by_name(f"{name}:0")
        dtype = tf.as_dtype(node.attr["dtype"].type)
        is_handle = node.op == "VarHandleOp"
        self._reads[name] = tf.raw_ops.ReadVariableOp(resource=tensor, dtype=dtype) if is_handle else tensor
        if not self._saver.restore_op_name and name in self._keys:
            value = _v1.placeholder(dtype)
            if is_handle:
                assign = tf.raw_ops.AssignVariableOp(resource=tensor, value=value)
            else:
                assign = tf.raw_ops.Assign(ref=tensor, value=value, validate_shape=False).op
            self._assigns[name] = (value, assign)

    def _begin(self, session) -> None:
        try:
            if self._saver.restore_op_name:
                restore_op = self._saver.restore_op_name.partition(":")[0]
                session.run(
                    self.graph.get_operation_by_name(restore_op), {self._saver.filename_tensor_name: self._prefix}
                )
            else:
                reader = _v1.train.NewCheckpointReader(self._prefix)
                for name, (value, assign) in self._assigns.items():
                    session.run(assign, {value: reader.get_tensor(self._keys[name])})
            for name in self._initializers:
                session.run(self.graph.get_operation_by_name(name))
        except (tf.errors.OpError, ValueError, TypeError, KeyError) as error:
            raise Problem("not_restorable", f"TensorFlow cannot restore the checkpoint: {_sentence(error)}") from error

    def variables(self) -> list[str]:
        """The variable nodes that the outputs need, in graph order."""
        return list(self._variables)

    def value(self, session, name: str) -> np.ndarray:
        """The value of the variable `name` in a restored session. Raises Problem (not_restorable)."""
        try:
            return np.asarray(session.run(self._reads[name]))
        except tf.errors.OpError as error:
            raise Problem("not_restorable", f"variable {name!r} has no value: {_sentence(error)}") from error


class FrozenSide(_Side):
    """The frozen graph as it lies on the disk."""

    def __init__(self, graph_def):
        super().__init__()
        self.graph_def = graph_def
        self._initializers: list[str] = []

    @classmethod
    def read(cls, path: str) -> "FrozenSide":
        """Reads the .pb at `path`. Raises Problem (not_importable) where it is no GraphDef."""
        graph_def = _v1.GraphDef()
        try:
            with open(path, "rb") as file:
                graph_def.ParseFromString(file.read())
        except Exception as error:
            raise Problem("not_importable", f"{path} cannot be read as a GraphDef: {_sentence(error)}") from error
        return cls(graph_def)

    def load(self, initializers: list[str]) -> None:
        """Imports the graph. Raises Problem (not_importable)."""
        self._initializers = initializers
        with self.graph.as_default():
            try:
                tf.import_graph_def(self.graph_def, name="")
            except (ValueError, TypeError, KeyError, tf.errors.OpError) as error:
                raise Problem("not_importable", f"TensorFlow cannot import it: {_sentence(error)}") from error

    def _begin(self, session) -> None:
        try:
            for name in self._initializers:
                session.run(self.graph.get_operation_by_name(name))
        except (tf.errors.OpError, KeyError) as error:
            raise Problem("not_importable", f"its initializer {name!r} fails: {_sentence(error)}") from error

    def constant(self, name: str) -> np.ndarray:
        """The value that the Const `name` holds."""
        node = next(node for node in self.graph_def.node if node.name == name)
        return tensor_util.MakeNdarray(node.attr["value"].tensor)
