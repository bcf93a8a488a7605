"""How the judge runs a graph: each run begins in a fresh session, and TensorFlow's errors are told by their causes."""

import contextlib
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.protobuf import rewriter_config_pb2

from permafrost.graph.protos import NodeDef
from permafrost.outcome import Problem

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


def array_of(value: Any) -> NDArray[Any]:
    """A value as an array of one and the same kind, whether a session or a TensorProto gives it.

    Strings are objects, and quantized integers, which TensorProtos give as records of one field, plain integers.
    """
    array = np.asarray(value)
    if array.dtype.fields:
        plain, *_ = next(iter(array.dtype.fields.values()))
        return array.view(plain)
    return array.astype(object) if array.dtype.kind == "S" else array


Feed = dict[str, NDArray[Any]]  # by the name of the tensor
Traced = dict[str, Any]  # what else Session.run gets, for a trace


class RunFailed(Exception):
    """TensorFlow could not run a graph on a feed; `cause` is a key of permafrost.outcome.CAUSES."""

    def __init__(self, cause: str, message: str):
        super().__init__(message)
        self.cause = cause


def _config(threads: int, is_plain: bool) -> Any:
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


def sentence(error: Exception) -> str:
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
def failing_as(cause: str, what: str) -> Iterator[None]:
    """Turns TensorFlow's errors into Problem (memory), or Problem (`cause`) with `what` and what TensorFlow said."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise Problem("memory", f"TensorFlow ran out of memory: {sentence(error)}") from error
    except (tf.errors.OpError, ValueError, TypeError, KeyError) as error:
        raise Problem(cause, f"{what}: {sentence(error)}") from error


def _run(session: Any, fetches: list[Any], feed: Feed, traced: Traced) -> list[Any]:
    try:
        values: list[Any] = session.run(fetches, feed, **traced)
        return values
    except tf.errors.ResourceExhaustedError as error:
        raise Problem("memory", f"TensorFlow ran out of memory: {sentence(error)}") from error
    except tf.errors.OpError as error:
        raise RunFailed("run_failed", sentence(error)) from error
    except (ValueError, TypeError, KeyError) as error:
        raise RunFailed("bad_feed", sentence(error)) from error


class Side:
    """A graph to run. Subclasses import it into `graph` and say how its variables get their values (`_restore`).

    initializers: the nodes that fill tables, which are run in each session before its first run.
    """

    _failure = ""  # The cause where this side's initializers fail.

    def __init__(self, initializers: list[str]):
        self.graph = tf.Graph()
        self.initializers = initializers
        self._assigns: dict[str, tuple[Any, Any]] = {}  # variable -> the placeholder of its value, and the op
        self._is_shared = False
        self._ready: Any = None  # A restored session of the usual options, for the next run or for all.
        self._filled: Any = None  # It, once the initializers have run in it.

    def share_session(self) -> None:
        """Has all runs from now on use one session, restored once.

        To be asked for only where nothing that is run keeps state, as graph.ops.kept_state tells it: then each run
        gives what it gives as the first one of a fresh session. A session with other options stays a fresh one.
        """
        self._is_shared = True

    def _restore(self, session: Any) -> None:
        raise NotImplementedError

    def _add_assign(self, node: NodeDef) -> None:
        """Adds ops that set the variable of a NodeDef."""
        tensor, dtype = self.graph.get_tensor_by_name(f"{node.name}:0"), tf.as_dtype(node.attr["dtype"].type)
        value = _v1.placeholder(dtype)
        if node.op == "VarHandleOp":
            assign = tf.raw_ops.AssignVariableOp(resource=tensor, value=value)
        else:
            assign = tf.raw_ops.Assign(ref=tensor, value=value, validate_shape=False).op
        self._assigns[node.name] = (value, assign)

    def _assign(self, session: Any, name: str, array: NDArray[Any]) -> None:
        value, assign = self._assigns[name]
        session.run(assign, {value: array})

    @contextlib.contextmanager
    def restored(
        self,
        threads: int = ENVIRONMENT["inter_op_parallelism_threads"],
        is_plain: bool = False,
        is_only_read: bool = False,
    ) -> Iterator[Any]:
        """A session in which the variables have their values, and nothing has changed them: a fresh one, or the shared.

        Args:
          threads: how many ops may run at a time.
          is_plain: whether the session is as TensorFlow makes it by itself, with its optimisers and as many threads as
            there are cores.
          is_only_read: whether only variables will be read, so that the session is as good as a fresh one afterwards.
        """
        is_usual = (threads, is_plain) == (ENVIRONMENT["inter_op_parallelism_threads"], False)
        session = self._ready if is_usual and self._ready is not None else self._restored(threads, is_plain)
        if is_usual:
            self._ready = session if self._is_shared or is_only_read else None
        try:
            yield session
        finally:
            if session is not self._ready:
                session.close()

    def _leave_session(self) -> None:
        """Has the next run begin with a new session, since its variables are to have other values."""
        if self._ready is not None:
            self._ready.close()
        self._ready = None

    def _restored(self, threads: int, is_plain: bool) -> Any:
        session = _v1.Session(graph=self.graph, config=_config(threads, is_plain))
        try:
            self._restore(session)
        except BaseException:
            session.close()
            raise
        return session

    def run(self, fetches: list[str], feed: Feed, **options: Any) -> list[NDArray[Any]]:
        """The first values that `runs` gives; takes and raises what that does."""
        with contextlib.closing(self.runs(fetches, feed, **options)) as runs:
            return next(runs)

    def runs(
        self, fetches: list[str], feed: Feed, traced: Traced | None = None, **options: Any
    ) -> Generator[list[NDArray[Any]]]:
        """The values of the tensors `fetches` on `feed`, again and again in one session, as `restored` gives it.

        `traced` has what else Session.run gets, for a trace.

        The initializers, which fill tables, have run before. Feeds that the graph lacks are left out. Raises RunFailed
        where TensorFlow refuses the feed or the graph fails on it or lacks a fetch, and Problem (memory).
        """
        present = {name: value for name, value in feed.items() if self.has(name)}
        with self.restored(**options) as session:
            self._initialize(session)
            while True:
                yield [array_of(value) for value in _run(session, fetches, present, traced or {})]

    def _initialize(self, session: Any) -> None:
        for name in self.initializers if session is not self._filled else ():
            with failing_as(self._failure, f"the initializer {name!r} fails"):
                session.run(self.graph.get_operation_by_name(name))
        self._filled = session if session is self._ready else None

    def export(self, table: str, key_dtype: int, value_dtype: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The keys and the values, in any order, of a table, once all are filled.

        Args:
          table: the tensor that is its handle.
          key_dtype, value_dtype: DataTypes of the table.
        Raises Problem where an initializer fails, or the tensor is no table of these dtypes.
        """
        with failing_as(self._failure, f"the table {table!r} cannot be read"):
            handle = self.graph.get_tensor_by_name(table)
            dtypes = {"Tkeys": tf.as_dtype(key_dtype), "Tvalues": tf.as_dtype(value_dtype)}
            is_handle = handle.dtype == tf.resource
            export = tf.raw_ops.LookupTableExportV2 if is_handle else tf.raw_ops.LookupTableExport
            with self.graph.as_default():
                tensors = export(table_handle=handle, **dtypes)
        with self.restored() as session:
            self._initialize(session)
            with failing_as(self._failure, f"the table {table!r} cannot be read"):
                keys, values = session.run([*tensors])
        return array_of(keys), array_of(values)

    def has(self, name: str) -> bool:
        """Whether the graph has the tensor `name`."""
        try:
            self.graph.get_tensor_by_name(name)
        except (KeyError, ValueError):
            return False
        return True
