"""Prepares a frozen graph for converters: an ordered list of passes, each of which keeps what the graph computes."""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from permafrost.export_records import Signature
from permafrost.exporter.preparation import baking, boundary, calls, draws, dropout, selections, switches
from permafrost.exporter.preparation.draft import Draft
from permafrost.exporter.preparation.parts import Part
from permafrost.exporter.prepared import Prepared
from permafrost.graph import frozen_file
from permafrost.graph.ops import effects
from permafrost.graph.ops.registry import keeps_state, registered
from permafrost.graph.protos import GraphDef, OpDef

_BEFORE: tuple[Callable[[Draft], None], ...] = (
    # First: what the outputs are is an Identity from now on, so that all others may change their names and ops.
    boundary.add_heads,
    # Before the other inputs are looked at: what is baked is none.
    baking.bake_inputs,
    # A default that is never fed is a value that the passes below may know.
    boundary.open_inputs,
)

# Again and again, since each may show another one something to do. Each tells whether it has changed anything.
_FOLDS: tuple[Callable[[Draft], bool], ...] = (
    # A known branch becomes a call, which the next one replaces by the nodes, in which constants are seen.
    calls.take_known_branches,
    calls.inline_calls,
    # What is left calls by what is computed; its functions may be handed what is known.
    calls.hand_in_constants,
    switches.take_known_sides,
    selections.take_known_choices,
)

# After all folding: what is on a side that is never taken does not use what was drawn.
_DROPOUTS: tuple[Callable[[Draft], bool], ...] = (
    draws.settle_draws,
    # It takes the zeros that `settle_draws` fills in for the sign of a mask.
    dropout.leave_out_dropout,
)
_MOST_ROUNDS = 100


def prepare(
    frozen_graph: str, signature: Signature, baked: dict[str, NDArray[Any]], initializers: list[str]
) -> Prepared:
    """The frozen graph as converters take it; it computes the same bits on all inputs that are not baked.

    Args:
      frozen_graph: the path of the .pb.
      signature: its inputs, outputs and hidden tensors; their `tensor` is one of the frozen graph.
      baked: tensor of an input of the signature -> the value that it always has, of the input's dtype.
      initializers: the nodes that fill tables.
    Raises Refused (random_op), OSError and DecodeError as frozen_file.read does, and Problem (bad_meta_graph) for a
      graph with a cycle. Imports TensorFlow for its op registry, and runs nothing.
    """
    graph_def, weights = frozen_file.read(frozen_graph)
    draft = _draft(graph_def, weights, signature, baked, initializers)
    for apply in _BEFORE:
        apply(draft)
    draft.main.prune()
    draft.open_functions()
    # Colocations name nodes that go, and shapes are those before inputs were baked.
    boundary.strip(draft)
    _repeat(draft, _FOLDS)
    for change in _DROPOUTS:
        change(draft)
        _prune(draft)
    draws.refuse_draws(draft)
    boundary.drop_unused_inputs(draft)
    draft.close_functions()
    return _prepared(draft)


def _draft(
    graph_def: GraphDef,
    weights: dict[str, NDArray[Any]],
    signature: Signature,
    baked: dict[str, NDArray[Any]],
    initializers: list[str],
) -> Draft:
    own = {function.signature.name: function.signature for function in graph_def.library.function}

    def definition(op: str) -> OpDef | None:
        return own.get(op) or registered(op)

    def is_stateful(op: str) -> bool:
        found = registered(op)
        return found is not None and keeps_state(found)

    library = type(graph_def.library)()
    library.CopyFrom(graph_def.library)
    return Draft(
        graph_def=graph_def,
        main=Part(graph_def, [], list(initializers)),
        functions={},
        weights=weights,
        signature=signature,
        initializers=list(initializers),
        bake=baked,
        definitions=definition,
        acts=effects.acting(library, is_stateful),
    )


def _repeat(draft: Draft, passes: tuple[Callable[[Draft], bool], ...]) -> None:
    for _ in range(_MOST_ROUNDS):
        changes = [apply(draft) for apply in passes]
        _prune(draft)
        if not any(changes):
            break


def _prune(draft: Draft) -> None:
    for part in draft.parts:
        part.prune()
    called = draft.called()
    for name in [name for name in draft.functions if name not in called]:
        del draft.functions[name]


def _prepared(draft: Draft) -> Prepared:
    kept = {node.name for node in draft.graph_def.node}
    return Prepared(
        graph_def=draft.graph_def,
        weights={name: value for name, value in draft.weights.items() if name in kept},
        signature=draft.signature,
        initializers=draft.initializers,
        baked=draft.baked,
        changes=[f"{times} x {change}" if times > 1 else change for change, times in draft.counts.items()],
    )
