"""What nodes that are run after a restore leave in variables: TensorFlow runs them, in the sandbox."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from permafrost.graph import graph_sources, vocabularies
from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.unsafe import unsafe_to_restore, unsafe_to_run
from permafrost.graph.tensorflow_import import refuse
from permafrost.judge import comparison, replicas
from permafrost.judge.sides import CheckpointSide, restores_of, saver_nodes
from permafrost.model import Settings
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, Initialized

_LARGEST = 32 << 20  # bytes; a record holds them
_NOT_RANDOM = "leave that node out of `initializer_nodes:`, or choose `outputs:` that do not depend on the variable"


def values(imported: ImportRecord, settings: Settings) -> list[Initialized]:
    """The variables of `imported.initialized` with what is in them once its `initializers` have run.

    Args:
      settings: for `allow_ops`.
    Raises Problem: unsafe_op, not_restorable, too_large, unsupported_op for strings, or random where a second restore
    leaves something else.
    """
    names = [each.variable for each in imported.initialized]
    side = _side(imported, settings, names)
    first, second = _read(side, names), _read(side, names)
    for name, a, b in zip(names, first, second, strict=True):
        if not comparison.same_bytes(a, b):
            nodes = ", ".join(imported.initializers)
            raise Problem("random", f"variable {name!r} gets another value each time that {nodes} runs", _NOT_RANDOM)
    if (total := sum(array.nbytes for array in first)) > _LARGEST:
        raise Problem("too_large", f"nodes that run after the restore write {total} bytes, more than {_LARGEST}")
    return [_initialized(each, array) for each, array in zip(imported.initialized, first, strict=True)]


def _side(imported: ImportRecord, settings: Settings, names: list[str]) -> CheckpointSide:
    meta_graph, allowed = graph_sources.read(imported.graph), set(settings.allow_ops)
    replicas.stand_in(meta_graph)
    index = GraphIndex(meta_graph.graph_def)
    restores = restores_of(index, meta_graph, imported, names)
    refuse(unsafe_to_restore(index, restores, saver_nodes(meta_graph)[1], allowed))
    refuse(unsafe_to_run(index, [], set(), imported.initializers, allowed, vocabularies.paths(imported)))
    return CheckpointSide(meta_graph.graph_def, meta_graph, imported, [], names, [], allowed)


def _read(side: CheckpointSide, names: list[str]) -> list[NDArray[Any]]:
    with side.restored() as session:
        return [value for _, value in side.values(session, names)]


def _initialized(variable: Initialized, array: NDArray[Any]) -> Initialized:
    if array.dtype == object:
        raise Problem("unsupported_op", f"variable {variable.variable!r} is given strings after the restore")
    content = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
    return Initialized(
        variable=variable.variable, dtype_enum=variable.dtype_enum, shape=list(array.shape), content=content
    )
