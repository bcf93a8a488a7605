"""Plans a frozen graph, without TensorFlow: an ordered list of passes over a draft, up to where its weights are due.

Where TensorFlow's own freeze_graph gives a right answer, the graph is the same byte for byte.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from permafrost.freezer import passes
from permafrost.freezer.contents import Constant
from permafrost.freezer.draft import Draft, Request
from permafrost.freezer.initial_values import InitialValues
from permafrost.graph.calls import needed_functions
from permafrost.graph.index import GraphIndex
from permafrost.graph.protos import GraphDef, MetaGraphDef, graph_pb2
from permafrost.input_kinds import Inputs
from permafrost.records import ImportRecord, Initialized, OpDefinition, Options, Repair, Variable, known

PASSES: tuple[Callable[[Draft], None], ...] = (
    # First: a placeholder has no inputs, so that the input pipeline behind it is not kept.
    passes.cut_inputs,
    # Before anything is kept: sides that are never taken need no variables, and have no ops that cannot be frozen.
    passes.bake,
    # All below look at the kept nodes alone. It copies them, so that the passes below may change them.
    passes.prune,
    # What reads a file or the checkpoint is no part of the graph that the passes below look at.
    passes.fill_tables,
    # Before any function is looked at: what only trains or saves need not be what can be frozen.
    passes.drop_uncalled_functions,
    # Which colocations are foreign is known once it is known which nodes are kept.
    passes.drop_foreign_colocation,
    # Before `convert`, which drops and records, one by one, those that the new constants make wrong.
    passes.drop_stale_shapes,
    # Before any node is rewritten, as TensorFlow's freeze_graph does while it imports the meta graph.
    passes.clear_devices,
    # The importer gives the program's own nodes their defaults; what `repair` and `convert` write is to have none.
    passes.apply_definitions,
    # After `prune`, since what was cut off cannot be frozen. Before all that refuses the graph: a wrong name in the
    # settings is more easily put right, and may be the reason for the rest.
    passes.refuse_unknown_names,
    # The next five look at what the program wrote, of which `repair` takes away the writes and the control inputs.
    # What is wrong with one node alone comes before what takes walks through the saver and the initializers.
    passes.refuse_waiting_variables,
    passes.refuse_filled_queues,
    passes.refuse_changes_before_the_first_run,
    passes.refuse_other_fillings,
    passes.refuse_written_variables,
    # Before the variables are constants: it asks which node stands for which variable, and in what order they are
    # written and read.
    passes.repair,
    # After `repair`, which prunes: a variable that is only written to needs no value in the checkpoint.
    passes.describe_constants,
    # It needs the dtype and the shape of each constant, and finds no write left.
    passes.convert,
    # The size is known when nothing changes any more.
    passes.refuse_too_large,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOTHING: Mapping[str, Any] = MappingProxyType({})
_NO_OPTIONS = Options(clear_devices=True, initializer_nodes=[], variable_names_allowlist=[], variable_names_denylist=[])


@dataclass(frozen=True)
class Plan:
    """A frozen graph before its weights are there.

    graph_def: the nodes to write, in order; variable nodes among `constants` are written as Const nodes.
    contents: constants that fill lookup tables from the checkpoint, likewise.
    initialized: those of the constants that hold what nodes leave in them that are run after the restore.
    cuts: fed tensor -> the placeholder's tensor that stands for it, where an input pipeline was cut.
    initializers: nodes to run once before the first use of the graph (they fill its lookup tables).
    repairs: what was changed, as entries of the provenance.
    """

    graph_def: graph_pb2.GraphDef
    constants: dict[str, Constant]
    contents: dict[str, Constant]
    initialized: list[str]
    cuts: dict[str, str]
    initializers: list[str]
    repairs: list[Repair]


def plan(
    meta_graph: MetaGraphDef,
    index: GraphIndex,
    imported: ImportRecord,
    options: Options,
    baked: "Mapping[str, NDArray[Any]]" = NOTHING,
) -> Plan:
    """What the frozen graph of a model will be.

    Args:
      meta_graph: the MetaGraphDef; it is not changed.
      index: that of its graph.
      imported: the import record: `outputs`, `inputs`, `variables`, `op_definitions` and `stale_shapes`, and what fills
        lookup tables.
      options: clear_devices, variable_names_allowlist, variable_names_denylist, initializer_nodes.
      baked: input -> the value that it always has.
    Raises Problem: unsupported_op, missing_variable, bad_setting or too_large, or that of a variable's defect; and
      where a lookup table is filled from a text file: missing_vocabulary, bad_vocabulary, outside_zoo, lfs_pointer or
      unreadable.
    """
    request = Request(
        meta_graph=meta_graph,
        fetched=imported.outputs,
        fed=list(imported.inputs),
        sources=_sources(imported.variables),
        initial=InitialValues(meta_graph, index, imported.variables),
        definitions=imported.op_definitions,
        options=options,
        vocabularies=known(imported.vocabularies, []),
        tables=known(imported.tables, []),
        run_after=known(imported.initializers, []),
        initialized=_initialized(imported),
        stale_shapes=imported.stale_shapes,
        baked=baked,
    )
    return _planned(request, index)


def of_kept(repairs: list[Repair], graph_def: GraphDef, frozen: GraphDef) -> list[Repair]:
    """Those of some repairs to a graph whose nodes the frozen one has, or whose functions such nodes call."""
    kept = {node.name for node in frozen.node}
    nodes = [node for node in graph_def.node if node.name in kept] if repairs else []
    kept |= {function.signature.name for function in needed_functions(nodes, graph_def.library)}
    return [each for each in repairs if each.node in kept or each.node.partition("/")[0] in kept]


def trial(
    meta_graph: MetaGraphDef,
    index: GraphIndex,
    imported: ImportRecord,
    baked: "Callable[[Inputs], Mapping[str, NDArray[Any]]]" = lambda inputs: NOTHING,
) -> Callable[[list[str], Inputs, dict[str, OpDefinition]], None]:
    """A function that raises Problem, as `plan` does without options, where what it is given cannot be frozen; text
    files are not read.

    Nor is an output found, rather than named, that shows what a metric has counted.

    It is given the outputs, the inputs and the op definitions, as signature.choosing finds them; for the rest see
    `plan`. `baked` tells which of the inputs have which value always.
    """
    sources = _sources(imported.variables)
    initial = InitialValues(meta_graph, index, imported.variables, with_counts=False)
    fillings = known(imported.vocabularies, []), known(imported.tables, [])
    written = known(imported.initializers, []), _initialized(imported)

    def try_to_freeze(outputs: list[str], inputs: Inputs, definitions: dict[str, OpDefinition]) -> None:
        request = Request(
            *(meta_graph, outputs, list(inputs), sources, initial, definitions, _NO_OPTIONS, *fillings, *written),
            is_trial=True,
            baked=baked(inputs),
        )
        _planned(request, index)

    return try_to_freeze


def _initialized(imported: ImportRecord) -> dict[str, Initialized]:
    return {each.variable: each for each in known(imported.initialized, [])}


def _sources(variables: list[Variable]) -> dict[str, Variable]:
    return {variable.variable: variable for variable in variables if variable.key}


def _planned(request: Request, index: GraphIndex) -> Plan:
    draft = Draft.of(request, index)
    for apply in PASSES:
        apply(draft)
    initialized = [name for name in draft.constants if name in request.initialized]
    made = draft.constants, draft.contents, initialized
    return Plan(draft.graph_def, *made, draft.cuts, draft.initializers, draft.repairs)
