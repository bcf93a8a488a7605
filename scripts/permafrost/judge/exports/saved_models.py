"""A SavedModel as the judge runs it: by each of TensorFlow's two loaders, with and without its optimisers.

The settings of a process hold for all that TensorFlow runs in it, and its first session makes the threads: each way
(loader, usual) belongs in a process of its own.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import EncodeError
from tensorflow.python.framework import tensor_util
from tensorflow.python.ops.op_selector import UnliftableError
from tensorflow.python.saved_model.loader_impl import SavedModelLoader

from permafrost.export_records import Endpoint, Signature
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops.stateful import RANDOM, changes_by_itself
from permafrost.graph.ops.unsafe import unsafe_to_run
from permafrost.graph.protos import GraphDef, MetaGraphDef
from permafrost.graph.tensorflow_import import evaluated_unsafe, refuse
from permafrost.input_kinds import Shape
from permafrost.judge.exports.declared_shapes import Declared, Sizes
from permafrost.judge.exports.runtimes import Array, Weight
from permafrost.judge.exports.saved_model_files import FILE, INIT_OP_KEY, SIGNATURE_KEY, TAG
from permafrost.judge.seeds import is_seeded
from permafrost.judge.sessions import ENVIRONMENT, Feed, RunFailed, Side, array_of, failing_as, sentence
from permafrost.outcome import Problem

V1, V2 = "v1", "v2"
_LOADERS = {V1: "tf.compat.v1.saved_model.load", V2: "tf.saved_model.load"}


class SavedModelRuntime:
    """A SavedModel, ready to be run (judge.exports.runtimes.Runtime).

    With V2 it is loaded once where its graph has no op with a memory, whose runs are then all the first one.
    """

    def __init__(
        self, path: Path, signature: Signature, loader: str = V1, usual: bool = False, allowed: Iterable[str] = ()
    ):
        """Looks at the file at `path`, which is called saved_model.pb, and loads it when it is first run.

        Args:
          signature: what it takes and gives, as its record has it.
          loader: V1, into a session, as TensorFlow Serving does it; or V2, which refuses some graphs that V1 takes:
            those with an op that TensorFlow removed from new graphs, or a placeholder that is no input.
          usual: whether it runs as TensorFlow runs it by itself, with its optimisers and as many threads as there are
            cores; else with one thread and without, as the judge runs both sides.
          allowed: op types that may run though they are unsafe.
        Raises Problem: not_importable, unsafe_op. RuntimeError where TensorFlow runs with other settings already.
        """
        if path.name != FILE:
            raise Problem("not_importable", f"TensorFlow loads no SavedModel from {path}, which is not called {FILE}")
        self._signature, self._usual = signature, usual
        self._directory = str(path.parent)
        self._side: _Side | None = None
        self._loaded: _Loaded | None = None
        self._weight: Feed = {}
        self._is_v2 = loader == V2
        with _loading(loader):
            meta_graph = SavedModelLoader(self._directory).get_meta_graph_def_from_tags([TAG])
        _refuse_unsafe(meta_graph, signature, set(allowed))
        self._remembers = any(_has_memory(op) for op in _ops(meta_graph.graph_def))
        if self._is_v2 and not usual:
            _as_the_judge_runs()

    def run(self, feed: Feed) -> list[Array]:
        """See Runtime. Inputs that `feed` lacks keep the default that the graph has for them."""
        if self._is_v2 and not self._weight:
            # Loaded anew where a run could find what another one left; this takes seconds.
            if self._loaded is None or self._remembers:
                self._loaded = _Loaded(self._directory, self._signature)
            return self._loaded.run(feed)
        named = {each.tensor: feed[each.key] for each in self._signature.inputs if each.key in feed}
        fetches = [each.tensor for each in (*self._signature.outputs, *self._signature.hidden)]
        return self._v1.run(fetches, named | self._weight, is_plain=self._usual)

    @property
    def _v1(self) -> "_Side":
        if self._side is None:
            self._side = _Side(self._directory)
        return self._side

    def declared(self) -> Declared:
        """See Runtime. saved_model_files.misstated tells where the file declares others than the signature."""
        signature = self._signature
        inputs, outputs = ({each.key: each.shape for each in ends} for ends in (signature.inputs, signature.outputs))
        return Declared(_sizes(inputs), _sizes(outputs))

    def weights(self) -> Iterator[Weight]:
        """See Runtime: those nearest the outputs first, floats before integers, several numbers before one."""
        operations = self._v1.constants([tensor_name(each.tensor)[0] for each in self._signature.outputs])
        for operation in sorted(operations, key=_rank):
            tensor = operation.outputs[0]
            dtype, shape = tensor.dtype.as_numpy_dtype, tensor.shape.as_list()
            size = tensor.shape.num_elements()
            yield Weight(operation.name, str(tf.as_dtype(dtype).name), shape, size)

    def value(self, weight: str) -> Array:
        """See Runtime. Raises Problem (not_importable) where the constant holds no tensor."""
        with failing_as("not_importable", f"constant {weight!r} cannot be read"):
            return array_of(tensor_util.MakeNdarray(self._v1.graph.get_operation_by_name(weight).get_attr("value")))

    def changed(self, weight: str, value: Array) -> "SavedModelRuntime":
        """See Runtime. It runs in a session, whichever the loader: there a constant can be fed."""
        other = object.__new__(SavedModelRuntime)
        other.__dict__.update(self.__dict__, _side=self._v1, _weight={f"{weight}:0": value})
        return other


def _sizes(shapes: dict[str, Shape | None]) -> dict[str, Sizes | None]:
    return {key: None if shape is None else [*shape] for key, shape in shapes.items()}


def _rank(operation: Any) -> tuple[bool, bool]:
    tensor = operation.outputs[0]
    return not (tensor.dtype.is_floating or tensor.dtype.is_complex), (tensor.shape.num_elements() or 0) < 2


def _ops(graph_def: GraphDef) -> set[str]:
    bodies = (graph_def.node, *(function.node_def for function in graph_def.library.function))
    return {node.op for nodes in bodies for node in nodes}


def _has_memory(op: str) -> bool:
    """Whether another run of an op may give something else: what draws numbers goes on where it was."""
    return bool(RANDOM.match(op)) or is_seeded(op) or changes_by_itself(op)


def _refuse_unsafe(meta_graph: MetaGraphDef, signature: Signature, allowed: set[str]) -> None:
    """Raises Problem (unsafe_op) for what would run while it is loaded or run."""
    refuse(evaluated_unsafe(meta_graph.graph_def, allowed))
    fetched = [each.tensor for each in (*signature.outputs, *signature.hidden)]
    fed = {each.tensor for each in signature.inputs}
    filling = [info.name for info in meta_graph.signature_def[INIT_OP_KEY].outputs.values()]
    refuse(unsafe_to_run(GraphIndex(meta_graph.graph_def), fetched, fed, filling, allowed))


@contextlib.contextmanager
def _loading(loader: str) -> Iterator[None]:
    """Turns what a loader raises into Problem, not_importable or memory."""
    what = f"{_LOADERS[loader]} cannot load the SavedModel"
    try:
        with failing_as("not_importable", what):
            yield
    except EncodeError as error:  # A message is copied, and there is no room for the copy.
        raise Problem("memory", f"TensorFlow ran out of memory: {sentence(error)}") from error
    except (RuntimeError, OSError, UnliftableError) as error:
        raise Problem("not_importable", f"{what}: {sentence(error)}") from error


def _as_the_judge_runs() -> None:
    """Sets what judge.sessions sets for each session, for all functions of this process."""
    tf.config.threading.set_intra_op_parallelism_threads(ENVIRONMENT["intra_op_parallelism_threads"])
    tf.config.threading.set_inter_op_parallelism_threads(ENVIRONMENT["inter_op_parallelism_threads"])
    tf.config.optimizer.set_experimental_options(
        {
            "disable_meta_optimizer": ENVIRONMENT["disable_meta_optimizer"],
            "constant_folding": False,
        }
    )


class _Side(Side):
    """The graph of a SavedModel, imported once by the loader for sessions; each session runs what fills its tables."""

    _failure = "not_importable"

    def __init__(self, directory: str):
        """Raises Problem: not_importable or memory."""
        super().__init__([])
        with _loading(V1):
            self._loader = SavedModelLoader(directory)
            self._loader.load_graph(self.graph, [TAG])

    def _restore(self, session: Any) -> None:
        with _loading(V1):
            self._loader.restore_variables(session, None)
            self._loader.run_init_ops(session, [TAG])

    def constants(self, names: list[str]) -> list[Any]:
        """The Const operations from which the nodes `names` can be reached, nearest first, that can be fed."""
        waiting = [self.graph.get_operation_by_name(name) for name in dict.fromkeys(names)]
        seen = {operation.name for operation in waiting}
        for operation in waiting:
            for tensor in operation.inputs:
                if tensor.op.name not in seen:
                    seen.add(tensor.op.name)
                    waiting.append(tensor.op)
        constants = [operation for operation in waiting if operation.type == "Const"]
        return [operation for operation in constants if self.graph.is_feedable(operation.outputs[0])]


class _Loaded:
    """A SavedModel as tf.saved_model.load gives it; random ops in it go on where they were in the last run."""

    def __init__(self, directory: str, signature: Signature):
        """Raises Problem: not_importable or memory."""
        self._signature = signature
        with _loading(V2):
            self._loaded = tf.saved_model.load(directory)
            self._function = self._loaded.signatures[SIGNATURE_KEY]

    def run(self, feed: Feed) -> list[Array]:
        """The outputs, by the signature, then what is hidden, by a function of its own. Raises as Runtime.run does."""
        try:
            return self._values(feed)
        except tf.errors.ResourceExhaustedError as error:
            raise Problem("memory", f"TensorFlow ran out of memory: {sentence(error)}") from error
        except (tf.errors.OpError, UnliftableError) as error:
            raise RunFailed("run_failed", sentence(error)) from error
        except (ValueError, TypeError, KeyError) as error:
            raise RunFailed("bad_feed", sentence(error)) from error

    def _values(self, feed: Feed) -> list[Array]:
        tensors = {each.key: self._tensor(each, feed) for each in self._signature.inputs}
        given = self._function(**tensors)
        found = [given[each.key] for each in self._signature.outputs]
        if self._signature.hidden:
            graph = self._loaded.graph
            feeds = [graph.get_tensor_by_name(each.tensor) for each in self._signature.inputs]
            fetches = [graph.get_tensor_by_name(each.tensor) for each in self._signature.hidden]
            found += self._loaded.prune(feeds, fetches)(*tensors.values())
        return [array_of(tensor.numpy()) for tensor in found]

    def _tensor(self, endpoint: Endpoint, feed: Feed) -> Any:
        """What is fed to an input: the default that the graph has for it where `feed` lacks it."""
        own = self._loaded.graph.get_tensor_by_name(endpoint.tensor)
        if endpoint.key not in feed and own.op.type == "PlaceholderWithDefault":
            return self._loaded.prune([], own.op.inputs[0])()
        value = tf.constant(feed[endpoint.key])
        # A quantized integer comes as a plain one.
        return value if value.dtype == own.dtype else tf.bitcast(value, own.dtype)
