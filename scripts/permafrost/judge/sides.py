"""The two sides that the judge compares, each a TensorFlow graph whose every run begins in a fresh session."""

import contextlib
import os
import re
import tempfile
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from msgspec import UNSET
from tensorflow.core.protobuf import rewriter_config_pb2
from tensorflow.python.framework import tensor_util

from permafrost.graph import frozen_file, pruning
from permafrost.graph.index import GraphIndex, data_inputs, tensor_name
from permafrost.graph.metagraph import producer_ops
from permafrost.graph.tensorflow_import import import_to_run
from permafrost.graph.unsafe_ops import executed
from permafrost.graph.variable_ops import VARIABLE_OPS
from permafrost.judge import devices, races
from permafrost.outcome import Problem
from permafrost.records import ImportRecord

_v1 = tf.compat.v1

# What every run has in common, for the record. Both optimisers are off, since they may order the arithmetic of the two
# graphs differently.
ENVIRONMENT = {
    "tensorflow": tf.__version__,
    "intra_op_parallelism_threads": 1,
    "inter_op_parallelism_threads": 1,
    "opt_level": "L0",
    "disable_meta_optimizer": True,
}


def _array(value) -> np.ndarray:
    """A value as an array of one and the same kind, whether a session or a TensorProto gives it.

    Strings are objects, and quantized integers, which TensorProtos give as records of one field, plain integers.
    """
    array = np.asarray(value)
    if array.dtype.fields:
        plain, *_ = next(iter(array.dtype.fields.values()))
        return array.view(plain)
    return array.astype(object) if array.dtype.kind == "S" else array


class RunFailed(Exception):
    """TensorFlow could not run a graph on a feed; `cause` is a key of permafrost.outcome.CAUSES."""

    def __init__(self, cause: str, message: str):
        super().__init__(message)
        self.cause = cause


def _config(threads: int, is_plain: bool):
    if is_plain:
        return _v1.ConfigProto(device_count={"GPU": 0, "CPU": 1})
    config = _v1.ConfigProto(
        intra_op_parallelism_threads=ENVIRONMENT["intra_op_parallelism_threads"],
        inter_op_parallelism_threads=threads,
        device_count={"GPU": 0, "CPU": 1},
    )
    config.graph_options.optimizer_options.opt_level = getattr(_v1.OptimizerOptions, ENVIRONMENT["opt_level"])
    config.graph_options.rewrite_options.disable_meta_optimizer = ENVIRONMENT["disable_meta_optimizer"]
    config.graph_options.rewrite_options.constant_folding = rewriter_config_pb2.RewriterConfig.OFF
    return config


_FRAMES = ("Graph execution error", "Detected at node", "Node:", "Original stack trace", "File ", "Traceback", "[[")


def _sentence(error: Exception) -> str:
    """What went wrong, out of an error message that may be framed by traces."""
    text = getattr(error, "message", None) or str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(_FRAMES)]
    sentence = (telling or lines or [type(error).__name__])[0][:400]
    if isinstance(error, tf.errors.PermissionDeniedError):
        sentence += " (what a graph may read beside the model's files, `allow_paths:` in its settings says)"
    node = getattr(getattr(error, "node_def", None), "name", "")
    return f"node {node!r}: {sentence}" if node and node not in sentence else sentence


@contextlib.contextmanager
def _failing_as(cause: str, what: str) -> Iterator[None]:
    """Turns TensorFlow's errors into Problem (memory), or Problem (`cause`) with `what` and what TensorFlow said."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise Problem("memory", f"TensorFlow ran out of memory: {_sentence(error)}") from error
    except (tf.errors.OpError, ValueError, TypeError, KeyError) as error:
        raise Problem(cause, f"{what}: {_sentence(error)}") from error


def _run(session, fetches: list, feed: dict, traced: dict) -> list:
    try:
        return session.run(fetches, feed, **traced)
    except tf.errors.ResourceExhaustedError as error:
        raise Problem("memory", f"TensorFlow ran out of memory: {_sentence(error)}") from error
    except tf.errors.OpError as error:
        raise RunFailed("run_failed", _sentence(error)) from error
    except (ValueError, TypeError, KeyError) as error:
        raise RunFailed("bad_feed", _sentence(error)) from error


class _Side:
    """A graph to run. Subclasses import it into `graph` and say how its variables get their values (`_restore`).

    initializers: the nodes that fill tables, which are run before each run.
    """

    _failure = ""  # The cause where this side's initializers fail.

    def __init__(self, initializers: list[str]):
        self.graph = tf.Graph()
        self.initializers = initializers
        self._assigns: dict[str, tuple] = {}

    def _restore(self, session) -> None:
        raise NotImplementedError

    def _add_assign(self, node) -> None:
        """Adds ops that set the variable of a NodeDef."""
        tensor, dtype = self.graph.get_tensor_by_name(f"{node.name}:0"), tf.as_dtype(node.attr["dtype"].type)
        value = _v1.placeholder(dtype)
        if node.op == "VarHandleOp":
            assign = tf.raw_ops.AssignVariableOp(resource=tensor, value=value)
        else:
            assign = tf.raw_ops.Assign(ref=tensor, value=value, validate_shape=False).op
        self._assigns[node.name] = (value, assign)

    def _assign(self, session, name: str, array: np.ndarray) -> None:
        value, assign = self._assigns[name]
        session.run(assign, {value: array})

    @contextlib.contextmanager
    def restored(self, threads: int = ENVIRONMENT["inter_op_parallelism_threads"], is_plain: bool = False) -> Iterator:
        """A fresh session in which the variables have their values; nothing else of the graph has run.

        Args:
          threads: how many ops may run at a time.
          is_plain: whether the session is as TensorFlow makes it by itself, with its optimisers and as many threads as
            there are cores.
        """
        with _v1.Session(graph=self.graph, config=_config(threads, is_plain)) as session:
            self._restore(session)
            yield session

    def run(self, fetches: list[str], feed: dict[str, np.ndarray], **options) -> list[np.ndarray]:
        """The values of the tensors `fetches` on `feed`, in a fresh session. Takes and raises what `runs` does."""
        with contextlib.closing(self.runs(fetches, feed, **options)) as runs:
            return next(runs)

    def runs(
        self, fetches: list[str], feed: dict[str, np.ndarray], traced: dict | None = None, **options
    ) -> Generator[list[np.ndarray]]:
        """The values of the tensors `fetches` on `feed`, again and again in one fresh session, as `restored` gives it.

        `traced` has what else Session.run gets, for a trace.

        The initializers, which fill tables, run before. Feeds that the graph lacks are left out. Raises RunFailed
        where TensorFlow refuses the feed or the graph fails on it or lacks a fetch, and Problem (memory).
        """
        present = {name: value for name, value in feed.items() if self.has(name)}
        with self.restored(**options) as session:
            for name in self.initializers:
                with _failing_as(self._failure, f"the initializer {name!r} fails"):
                    session.run(self.graph.get_operation_by_name(name))
            while True:
                yield [_array(value) for value in _run(session, fetches, present, traced or {})]

    def has(self, name: str) -> bool:
        """Whether the graph has the tensor `name`."""
        try:
            self.graph.get_tensor_by_name(name)
        except (KeyError, ValueError):
            return False
        return True


class CheckpointSide(_Side):
    """The meta graph, pruned to what is run, restored from the checkpoint by the meta graph's own saver.

    ordered: the reads that were put before a write, where the graph leaves the order open.
    """

    _failure = "not_restorable"

    def __init__(
        self,
        graph_def,
        meta_graph,
        imported: ImportRecord,
        tensors: list[str],
        variables: list[str],
        initializers: list[str],
        allowed: set[str],
        is_ordered: bool = True,
    ):
        """
        Args:
          graph_def: the meta graph's graph, with its inputs cut.
          meta_graph: for its SaverDef and its op definitions.
          imported: the import record: `prefix`, `files` and `variables`.
          tensors: the tensors that will be fed or fetched.
          variables: the variable nodes whose values will be asked for.
          initializers: the nodes to run before each run.
          allowed: op types that may run though they are unsafe.
          is_ordered: whether reads that have no order with a write come first; `ordered` then names them.
        Raises Problem: not_restorable where TensorFlow cannot import the graph, unsafe_op where it must not.
        """
        super().__init__(initializers)
        self._prefix = _literal(imported.prefix, imported.files)
        self._restore_op, self._filename = saver_nodes(meta_graph)
        index = GraphIndex(graph_def)
        needed = pruning.needed(
            index, [tensor_name(name)[0] for name in tensors] + initializers + variables, with_colocated=False
        )
        kept = pruning.extract(index, needed | self._restoring(index))
        pruning.drop_foreign_colocation(kept)
        _open_defaults(kept)
        devices.clear(kept)
        for node in kept.node:
            node.attr.pop("_output_shapes", None)
        self.ordered = races.reads_first(kept, needed) if is_ordered else races.Ordered()
        # The saver restores all variables; those of which the settings ask for the averages get these afterwards.
        rows = [row for row in imported.variables if row.key and (not self._restore_op or row.restored is not UNSET)]
        self._places = {row.variable: (row.key, row.box) for row in rows}
        self._reads: dict[str, Any] = {}
        with self.graph.as_default(), _failing_as("not_restorable", "TensorFlow cannot import the meta graph"):
            import_to_run(kept, allowed, producer_ops(meta_graph))
            for node in kept.node:
                if node.op in VARIABLE_OPS and node.name in needed:
                    self._add_read(node)
                    if node.name in self._places:
                        self._add_assign(node)

    def _restoring(self, index: GraphIndex) -> set[str]:
        """The nodes that the saver runs, and the one that takes the file's name, without what is its default."""
        name, _ = tensor_name(self._filename)
        running = executed(index, [self._restore_op], {self._filename}) | {name}
        has_default = name in index.nodes and index.nodes[name].op == "PlaceholderWithDefault"
        return running if has_default else running | pruning.needed(index, [name], with_colocated=False)

    def _add_read(self, node) -> None:
        tensor = self.graph.get_tensor_by_name(f"{node.name}:0")
        if node.op == "VarHandleOp":
            tensor = tf.raw_ops.ReadVariableOp(resource=tensor, dtype=tf.as_dtype(node.attr["dtype"].type))
        self._reads[node.name] = tensor

    def _restore(self, session) -> None:
        with _failing_as("not_restorable", "TensorFlow cannot restore the checkpoint"):
            if self._restore_op:
                session.run(self.graph.get_operation_by_name(self._restore_op), {self._filename: self._prefix})
            if self._assigns:
                reader = _v1.train.NewCheckpointReader(self._prefix)
                for name in self._assigns:
                    key, box = self._places[name]
                    value = reader.get_tensor(key)
                    self._assign(session, name, value if box is None else value[_slices(box)])

    def runs(
        self, fetches: list[str], feed: dict[str, np.ndarray], traced: dict | None = None, **options
    ) -> Generator[list[np.ndarray]]:
        """As for each side; a fetch of a variable's handle gives the variable's value, which the frozen graph has."""
        reads = {f"{name}:0": tensor for name, tensor in self._reads.items()}
        return super().runs([reads.get(name, name) for name in fetches], feed, traced, **options)

    def executed(self, fetches: list[str], feed: dict[str, np.ndarray]) -> set[str]:
        """The names of the nodes that a run in a fresh session executes, those of sides that are not taken left out.

        Raises as `runs` does.
        """
        metadata = _v1.RunMetadata()
        options = _v1.RunOptions(trace_level=_v1.RunOptions.FULL_TRACE)
        self.run(fetches, feed, traced={"options": options, "run_metadata": metadata})
        return {node.node_name for device in metadata.step_stats.dev_stats for node in device.node_stats}

    def value(self, session, name: str) -> np.ndarray:
        """The value of the variable `name` in a restored session. Raises Problem (weights_differ) where it has none."""
        with _failing_as("weights_differ", f"variable {name!r} gets no value from the checkpoint"):
            return _array(session.run(self._reads[name]))


def _slices(box: list[list[int]]) -> tuple[slice, ...]:
    """The index of a box, [start, extent], of a tensor."""
    return tuple(slice(start, start + length) for start, length in zip(*box, strict=True))


def _open_defaults(graph_def) -> None:
    """Makes placeholders of those with a default that the graph lacks, in place."""
    names = {node.name for node in graph_def.node}
    for node in graph_def.node:
        if node.op == "PlaceholderWithDefault" and not names.issuperset(name for name, _ in data_inputs(node)):
            node.op = "Placeholder"
            del node.input[:]


def _literal(prefix: str, files: list[str]) -> str:
    """A prefix of the same checkpoint that TensorFlow takes as it is: it reads names as UTF-8 and as glob patterns.

    The pattern that stands for the shards of a V1 checkpoint stays one, in a directory that TensorFlow may list.
    """
    if re.fullmatch(r"[^][*?{}\\\ud800-\udfff]*", prefix):
        return prefix
    found = re.search(r"-\?{5}-of-[\d?]{5}\Z", prefix)
    pattern = found[0] if found else ""
    stem = os.path.basename(prefix.removesuffix(pattern))
    links = tempfile.mkdtemp()
    for file in files:
        os.symlink(file, os.path.join(links, f"checkpoint{os.path.basename(file)[len(stem) :]}"))
    return os.path.join(links, f"checkpoint{pattern}")


class FrozenSide(_Side):
    """The frozen graph as it lies on the disk; its large weights are fed, as graph.frozen_file says."""

    _failure = "not_importable"

    def __init__(self, graph_def, large: dict[str, np.ndarray], initializers: list[str]):
        super().__init__(initializers)
        self.graph_def = graph_def
        self.index = GraphIndex(graph_def)
        self._large = large
        self._values: dict[str, np.ndarray] = {}

    @classmethod
    def read(cls, path: str, variables: set[str], initializers: list[str]) -> "FrozenSide":
        """Reads the .pb at `path`, in which the constants `variables` were variables.

        Raises Problem (not_importable) where it is no GraphDef.
        """
        try:
            return cls(*frozen_file.read(path, variables), initializers)
        except (OSError, DecodeError) as error:
            raise Problem("not_importable", f"{path} cannot be read as a GraphDef: {_sentence(error)}") from error

    def load(self, allowed: set[str]) -> None:
        """Imports the graph, whose devices need not be here.

        Raises Problem: not_importable, or unsafe_op for an op that is not in `allowed`.
        """
        for name, value in self._large.items():
            self._hold_open(self.index.nodes[name], value)
        devices.clear(self.graph_def)
        with self.graph.as_default(), _failing_as("not_importable", "TensorFlow cannot import it"):
            import_to_run(self.graph_def, allowed)

    @staticmethod
    def _hold_open(node, value: np.ndarray) -> None:
        """Makes a placeholder of a Const whose value is fed."""
        dtype = node.attr["dtype"].type
        node.ClearField("attr")
        node.op = "Placeholder"
        node.attr["dtype"].type = dtype
        node.attr["shape"].shape.CopyFrom(tf.TensorShape(value.shape).as_proto())

    def runs(
        self, fetches: list[str], feed: dict[str, np.ndarray], traced: dict | None = None, **options
    ) -> Generator[list[np.ndarray]]:
        """As for each side, with the large weights fed as well, where `feed` has no other value for them."""
        large = {f"{name}:0": value for name, value in self._large.items()}
        return super().runs(fetches, large | feed, traced, **options)

    def constant(self, name: str) -> np.ndarray:
        """The value that the Const `name` holds. Raises Problem (not_importable) where it holds none."""
        with _failing_as("not_importable", f"constant {name!r} cannot be read"):
            held = self._large.get(name)
            return _array(
                tensor_util.MakeNdarray(self.index.nodes[name].attr["value"].tensor) if held is None else held
            )

    def give(self, values: dict[str, np.ndarray]) -> None:
        """Gives the variables that were kept as variables their values, from now on in each session."""
        self._values.update(values)
        with self.graph.as_default(), _failing_as("not_importable", "its variables cannot be assigned"):
            for name in values:
                self._add_assign(self.index.nodes[name])

    def values(self) -> dict[str, np.ndarray]:
        """The values given by `give`, by the name of the variable."""
        return dict(self._values)

    def run_changed(self, fetches: list[str], feed: dict, name: str, value: np.ndarray) -> list[np.ndarray]:
        """As `run`, with another value for the variable `name`, be it a constant now or not."""
        if name not in self._values:
            return self.run(fetches, feed | {f"{name}:0": value})
        before = self._values[name]
        self._values[name] = value
        try:
            return self.run(fetches, feed)
        finally:
            self._values[name] = before

    def _restore(self, session) -> None:
        with _failing_as("not_importable", "its variables cannot be assigned"):
            for name, value in self._values.items():
                self._assign(session, name, value)


def saver_nodes(meta_graph) -> tuple[str, str]:
    """The saver's restore op, a node, and the tensor that takes the file's name; both are empty without a saver.

    TensorFlow takes a tensor's name for either.
    """
    saver = meta_graph.saver_def
    if not saver.restore_op_name:
        return "", ""
    filename, output = tensor_name(saver.filename_tensor_name)
    return tensor_name(saver.restore_op_name)[0], f"{filename}:{output}"
