"""The two sides that the judge compares: the checkpoint's graph as TensorFlow restores it, and the frozen graph."""

import os
import re
import tempfile
from collections.abc import Generator, Iterable, Iterator
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tensorflow.python.framework import tensor_util
from tensorflow.python.trackable.base import OBJECT_GRAPH_PROTO_KEY
from tensorflow.python.training.saver import object_graph_key_mapping

from permafrost.graph import frozen_file, pruning, vocabularies
from permafrost.graph.index import GraphIndex, data_inputs, tensor_name
from permafrost.graph.metagraph import producer_ops
from permafrost.graph.ops.unsafe import executed
from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.graph.protos import GraphDef, MetaGraphDef, NodeDef
from permafrost.graph.tensorflow_import import import_to_run
from permafrost.judge import devices, partial_restore, races
from permafrost.judge.initializers import of_unsaved as initializers_of
from permafrost.judge.sessions import Feed, Side, Traced, array_of, failing_as, sentence
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, Variable, is_known, known

_v1 = tf.compat.v1
_READ_AT_ONCE = 16 << 20  # bytes of variables


class CheckpointSide(Side):
    """The meta graph, pruned to what is run, restored from the checkpoint by the meta graph's own saver.

    Variables that it does not restore are given their initial values before, where constants determine these. Where the
    checkpoint does not fit variables that are not needed, or the saver restores other things that are not needed, it
    restores what is needed alone.
    ordered: the reads that were put before a write, where the graph leaves the order open. initialized: the variables
    with their initial values, and the nodes that give them these.
    """

    _failure = "not_restorable"

    def __init__(
        self,
        graph_def: GraphDef,
        meta_graph: MetaGraphDef,
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
          imported: the import record: `prefix`, `files`, `variables`, `vocabularies` and `initializers`.
          tensors: the tensors that will be fed or fetched.
          variables: the variable nodes whose values will be asked for.
          initializers: the nodes to run before each run, those that the saver runs left out.
          allowed: op types that may run though they are unsafe.
          is_ordered: whether reads that have no order with a write come first; `ordered` then names them.
        Raises Problem: not_restorable where TensorFlow cannot import the graph, unsafe_op where it must not.
        """
        self._restore_op, self._filename = saver_nodes(meta_graph)
        index = GraphIndex(graph_def)
        names = [*(tensor_name(name)[0] for name in tensors), *initializers, *variables]
        super().__init__(left_to_run(index, meta_graph, initializers))
        self._prefix = _literal(imported.prefix, imported.files)
        needed = pruning.needed(index, names, with_colocated=False)
        self._after = known(imported.initializers, [])
        following = index.reach(self._after)
        held = [name for name in sorted(needed | following) if index.nodes[name].op in VARIABLE_OPS]
        own = initializers_of(meta_graph, index, imported.variables)
        self.initialized = {name: own[name] for name in held if name in own}
        initializing = pruning.needed(index, list(self.initialized.values()), with_colocated=False)
        self._restores = restores_of(index, meta_graph, imported, names)
        kept = pruning.extract(index, needed | initializing | self._restoring(index) | following)
        vocabularies.point_to(kept, vocabularies.paths(imported))
        unfit = {row.variable for row in imported.variables if _is_unfit(row)}
        kept = self._restore_needed(kept, needed | initializing | following, held, unfit)
        pruning.drop_foreign_colocation(kept)
        _open_defaults(kept)
        devices.clear(kept)
        for node in kept.node:
            node.attr.pop("_output_shapes", None)
        self.ordered = races.reads_first(kept, needed) if is_ordered else races.Ordered()
        # The saver restores all variables; those of which the settings ask for the averages get these afterwards, and
        # so do those that an object-based checkpoint has under other keys.
        rows = [row for row in imported.variables if row.key and (not self._restore_op or is_known(row.restored))]
        self._places = {row.variable: (row.key, row.box) for row in rows}
        self._names = {row.restored: row.key for row in rows if is_known(row.restored)}
        self._reads: dict[str, Any] = {}
        with self.graph.as_default(), failing_as("not_restorable", "TensorFlow cannot import the meta graph"):
            import_to_run(kept, allowed, producer_ops(meta_graph))
            for node in kept.node:
                if node.name in held:
                    self._add_read(node)
                    if node.name in self._places:
                        self._add_assign(node)

    def _restore_needed(self, kept: GraphDef, running: set[str], held: list[str], unfit: set[str]) -> GraphDef:
        """Has the saver restore no more than what is needed, where that is the same or not to be had otherwise.

        Args:
          kept: what will be imported; changed.
          running: the nodes of it that will run, beside those of the saver.
          held: the variables whose values are needed. unfit: those that the checkpoint has not, or otherwise.
        Returns what is left of `kept`.
        """
        is_whole = self._restores == [self._restore_op]
        if not self._restores or not (unfit or not is_whole or partial_restore.is_plain(kept, self._restores)):
            return kept
        tables = {node.name for node in kept.node if node.name in running and node.op in pruning.TABLES}
        self._restores = partial_restore.split(kept, self._restores, {*held, *tables} - unfit)
        index = GraphIndex(kept)
        return pruning.extract(index, index.reach([*running, *self._restores, tensor_name(self._filename)[0]]))

    def _restoring(self, index: GraphIndex) -> set[str]:
        """The nodes that the saver runs, and the one that takes the file's name, without what is its default."""
        name, _ = tensor_name(self._filename)
        running = executed(index, self._restores, {self._filename}) | {name}
        has_default = name in index.nodes and index.nodes[name].op == "PlaceholderWithDefault"
        return running if has_default else running | pruning.needed(index, [name], with_colocated=False)

    def _add_read(self, node: NodeDef) -> None:
        tensor = self.graph.get_tensor_by_name(f"{node.name}:0")
        if node.op == "VarHandleOp":
            tensor = tf.raw_ops.ReadVariableOp(resource=tensor, dtype=tf.as_dtype(node.attr["dtype"].type))
        self._reads[node.name] = tensor

    def _restore(self, session: Any) -> None:
        with failing_as("not_restorable", "TensorFlow cannot restore the checkpoint"):
            if self.initialized:
                session.run([self.graph.get_operation_by_name(name) for name in self.initialized.values()])
            if self._restores:
                self._run_saver(session)
            if self._assigns:
                reader = _v1.train.NewCheckpointReader(self._prefix)
                for name in self._assigns:
                    key, box = self._places[name]
                    value = reader.get_tensor(key)
                    self._assign(session, name, value if box is None else value[_slices(box)])
        for name in self._after:
            with failing_as("not_restorable", f"node {name!r}, which is to run after the restore, fails"):
                session.run(self.graph.get_operation_by_name(name))

    def _run_saver(self, session: Any) -> None:
        """Runs the saver; where it lacks its keys in an object-based checkpoint, all is assigned by the names instead.

        So does TensorFlow's Saver (Saver.restore in tensorflow/python/training/saver.py).
        """
        try:
            restores = [self.graph.get_operation_by_name(name) for name in self._restores]
            session.run(restores, {self._filename: self._prefix})
        except tf.errors.NotFoundError:
            is_object_based = _v1.train.NewCheckpointReader(self._prefix).has_tensor(OBJECT_GRAPH_PROTO_KEY)
            keys = object_graph_key_mapping(self._prefix) if is_object_based else {}
            if not self._names or any(keys.get(name) != key for name, key in self._names.items()):
                raise

    def runs(
        self, fetches: list[str], feed: Feed, traced: Traced | None = None, **options: Any
    ) -> Generator[list[NDArray[Any]]]:
        """As for each side; a fetch of a variable's handle gives the variable's value, which the frozen graph has."""
        reads = {f"{name}:0": tensor for name, tensor in self._reads.items()}
        return super().runs([reads.get(name, name) for name in fetches], feed, traced, **options)

    def executed(self, fetches: list[str], feed: Feed) -> set[str]:
        """The names of the nodes that a run in a fresh session executes, those of sides that are not taken left out.

        Raises as `runs` does.
        """
        metadata = _v1.RunMetadata()
        options = _v1.RunOptions(trace_level=_v1.RunOptions.FULL_TRACE)
        self.run(fetches, feed, traced={"options": options, "run_metadata": metadata})
        return {node.node_name for device in metadata.step_stats.dev_stats for node in device.node_stats}

    def values(self, session: Any, names: list[str]) -> Iterator[tuple[str, NDArray[Any]]]:
        """Each of the variables `names` with its value in a restored session, of which only a few are held at a time.

        Raises Problem (weights_differ) where one has none.
        """
        for group in self._groups(names):
            try:
                found = session.run([self._reads[name] for name in group])
            except tf.errors.OpError:
                found = [self._value(session, name) for name in group]  # to say which one
            yield from zip(group, map(array_of, found), strict=True)

    def _groups(self, names: list[str]) -> Iterator[list[str]]:
        """The names, those together whose variables are small: each run of a session takes some time by itself."""
        group, size = list[str](), 0
        for name in names:
            tensor = self._reads[name]
            size += tensor.dtype.base_dtype.size * (tensor.shape.num_elements() or 0)
            group.append(name)
            if size > _READ_AT_ONCE:
                yield group
                group, size = [], 0
        if group:
            yield group

    def _value(self, session: Any, name: str) -> Any:
        with failing_as("weights_differ", f"variable {name!r} gets no value from the checkpoint"):
            return session.run(self._reads[name])


def _is_unfit(row: Variable) -> bool:
    """Whether the saver restores a variable that the checkpoint lacks, or has otherwise."""
    return is_known(row.defect) and row.defect.cause != "missing_variable"


def _slices(box: list[list[int]]) -> tuple[slice, ...]:
    """The index of a box, [start, extent], of a tensor."""
    return tuple(slice(start, start + length) for start, length in zip(*box, strict=True))


def _open_defaults(graph_def: GraphDef) -> None:
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
    if _is_literal(prefix):
        return prefix
    found = re.search(r"-\?{5}-of-[\d?]{5}\Z", prefix)
    pattern = found[0] if found else ""
    stem = os.path.basename(prefix.removesuffix(pattern))
    links = tempfile.mkdtemp()
    for file in files:
        os.symlink(file, os.path.join(links, f"checkpoint{os.path.basename(file)[len(stem) :]}"))
    # The temporary directory may have such a name too; a child of the sandbox has it as its working directory.
    return os.path.join(links if _is_literal(links) else os.path.relpath(links), f"checkpoint{pattern}")


def _is_literal(path: str) -> bool:
    """Whether TensorFlow takes a path as it is."""
    return bool(re.fullmatch(r"[^][*?{}\\\ud800-\udfff]*", path))


class FrozenFile:
    """The frozen graph as it lies on the disk.

    graph_def, index: its nodes, without the values of the large weights.
    large: the values of those, by node; they are fed, as graph.frozen_file says.
    initializers: the nodes to run before each run.
    """

    def __init__(self, graph_def: GraphDef, large: dict[str, NDArray[Any]], initializers: list[str]):
        self.graph_def, self.large, self.initializers = graph_def, large, initializers
        self.index = GraphIndex(graph_def)

    @classmethod
    def read(cls, path: str, variables: set[str], initializers: list[str]) -> "FrozenFile":
        """Reads the .pb at `path`, in which the constants `variables` were variables.

        Raises Problem (not_importable) where it is no GraphDef.
        """
        try:
            return cls(*frozen_file.read(path, variables), initializers)
        except (OSError, DecodeError) as error:
            raise _unread(path, error) from error

    @classmethod
    def outline(cls, path: str, initializers: list[str]) -> "FrozenFile":
        """As `read`, without the values of the large constants, for who will not run it."""
        try:
            return cls(frozen_file.outline(path), {}, initializers)
        except (OSError, DecodeError) as error:
            raise _unread(path, error) from error

    def constant(self, name: str) -> NDArray[Any]:
        """The value that the Const `name` holds. Raises Problem (not_importable) where it holds none."""
        with failing_as("not_importable", f"constant {name!r} cannot be read"):
            held = self.large.get(name)
            return array_of(
                tensor_util.MakeNdarray(self.index.nodes[name].attr["value"].tensor) if held is None else held
            )


def _unread(path: str, error: Exception) -> Problem:
    return Problem("not_importable", f"{path} cannot be read as a GraphDef: {sentence(error)}")


class FrozenSide(Side):
    """The frozen graph, its large weights fed."""

    _failure = "not_importable"

    def __init__(self, file: FrozenFile, allowed: set[str]):
        """Imports the graph, whose devices need not be here.

        Args:
          file: what was read; its large weights become placeholders, and its devices are cleared.
          allowed: op types that may run though they are unsafe.
        Raises Problem: not_importable, or unsafe_op for an op that is not in `allowed`.
        """
        super().__init__(file.initializers)
        self._file = file
        self._values: dict[str, NDArray[Any]] = {}
        for name, value in file.large.items():
            _hold_open(file.index.nodes[name], value)
        devices.clear(file.graph_def)
        with self.graph.as_default(), failing_as("not_importable", "TensorFlow cannot import it"):
            import_to_run(file.graph_def, allowed)

    def runs(
        self, fetches: list[str], feed: Feed, traced: Traced | None = None, **options: Any
    ) -> Generator[list[NDArray[Any]]]:
        """As for each side, with the large weights fed as well, where `feed` has no other value for them."""
        large = {f"{name}:0": value for name, value in self._file.large.items()}
        return super().runs(fetches, large | feed, traced, **options)

    def give(self, values: dict[str, NDArray[Any]]) -> None:
        """Gives the variables that were kept as variables their values, from now on in each session."""
        self._values.update(values)
        self._leave_session()
        with self.graph.as_default(), failing_as("not_importable", "its variables cannot be assigned"):
            for name in values:
                self._add_assign(self._file.index.nodes[name])

    def values(self) -> dict[str, NDArray[Any]]:
        """The values given by `give`, by the name of the variable."""
        return dict(self._values)

    def run_changed(self, fetches: list[str], feed: Feed, name: str, value: NDArray[Any]) -> list[NDArray[Any]]:
        """As `run`, with another value for the variable `name`, be it a constant now or not."""
        if name not in self._values:
            return self.run(fetches, feed | {f"{name}:0": value})
        before = self._values[name]
        self._values[name] = value
        self._leave_session()
        try:
            return self.run(fetches, feed)
        finally:
            self._values[name] = before
            self._leave_session()

    def _restore(self, session: Any) -> None:
        with failing_as("not_importable", "its variables cannot be assigned"):
            for name, value in self._values.items():
                self._assign(session, name, value)


def _hold_open(node: NodeDef, value: NDArray[Any]) -> None:
    """Makes a placeholder of a Const whose value is fed."""
    dtype = node.attr["dtype"].type
    node.ClearField("attr")
    node.op = "Placeholder"
    node.attr["dtype"].type = dtype
    node.attr["shape"].shape.CopyFrom(tf.TensorShape(value.shape).as_proto())


def left_to_run(index: GraphIndex, meta_graph: MetaGraphDef, initializers: list[str]) -> list[str]:
    """Those of the nodes `initializers` that the graph has, and the meta graph's saver does not run when it restores.

    The graph lacks those by which a frozen graph has what a function of the saver fills a table with.
    """
    restore_op, filename = saver_nodes(meta_graph)
    restoring = executed(index, [restore_op], {filename}) if restore_op else set()
    return [name for name in initializers if name in index.nodes and name not in restoring]


def restores_of(index: GraphIndex, meta_graph: MetaGraphDef, imported: ImportRecord, names: Iterable[str]) -> list[str]:
    """The nodes by which the meta graph's saver restores what the nodes `names`, and those run after it, need.

    None without a saver.
    Args:
      index: of the graph that is run, which may have its inputs cut.
      imported: for `initializers`.
    """
    restore_op, filename = saver_nodes(meta_graph)
    needed = pruning.needed(index, [*names, *known(imported.initializers, [])], with_colocated=False)
    return partial_restore.roots(index, restore_op, filename, needed) if restore_op else []


def saver_nodes(meta_graph: MetaGraphDef) -> tuple[str, str]:
    """The saver's restore op, a node, and the tensor that takes the file's name; both are empty without a saver.

    TensorFlow takes a tensor's name for either.
    """
    saver = meta_graph.saver_def
    if not saver.restore_op_name:
        return "", ""
    filename, output = tensor_name(saver.filename_tensor_name)
    return tensor_name(saver.restore_op_name)[0], f"{filename}:{output}"
