"""A frozen graph in the making: what is asked for, and what the passes have made of it so far."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from permafrost.freezer.contents import Constant
from permafrost.freezer.initial_values import InitialValues
from permafrost.freezer.initialization import Initialization
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops import effects
from permafrost.graph.protos import FunctionDefLibrary, graph_pb2, meta_graph_pb2
from permafrost.records import Initialized, OpDefinition, Options, Repair, SavedTable, Variable, Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Request:
    """What is to be frozen, and how.

    meta_graph: the MetaGraphDef, which stays as it is.
    fetched: the names of the tensors that are the outputs; fed: those of the tensors that are the inputs.
    sources: variable node -> its entry of the import record, where the checkpoint holds a value for it.
    initial: the values of the others, as far as the graph determines them.
    definitions: op type -> what TensorFlow's registry says of it (graph.ops.registry).
    options: what the model's settings say of it.
    vocabularies, tables: of the import record. run_after, initialized: its `initializers`, and its `initialized` by
    variable. stale_shapes: the node whose _output_shapes TensorFlow would not import; "" where there is none. is_trial:
    whether nothing will be written, so that no file need be read. baked: tensor of an input -> the value that it always
    has; it is among `fed`.
    """

    meta_graph: meta_graph_pb2.MetaGraphDef
    fetched: list[str]
    fed: list[str]
    sources: dict[str, Variable]
    initial: InitialValues
    definitions: dict[str, OpDefinition]
    options: Options
    vocabularies: list[Vocabulary] = field(default_factory=list)
    tables: list[SavedTable] = field(default_factory=list)
    run_after: list[str] = field(default_factory=list)
    initialized: dict[str, Initialized] = field(default_factory=dict)
    stale_shapes: str = ""
    is_trial: bool = False
    baked: "Mapping[str, NDArray[Any]]" = field(default_factory=dict)

    @property
    def output_nodes(self) -> list[str]:
        """The names of the nodes that give the outputs."""
        return [tensor_name(name)[0] for name in self.fetched]


@dataclass
class Draft:
    """What a pass takes and changes.

    request: what is asked for; no pass changes it.
    initialization: what is done to the meta graph before its first run.
    acts: tells which nodes do something beside what they give (graph.ops.effects).
    source: the index of the graph that nodes are taken from, in which names are unique: the meta graph's own, and from
      `cut_inputs` on the one with placeholders for its inputs.
    graph_def: the graph so far. It is the meta graph's own, and no pass may change it, up to `prune`, which copies.
    cuts, initializers, constants, contents, repairs: as in Plan, those so far.
    """

    request: Request
    initialization: Initialization
    acts: Callable[[Any], bool]
    source: GraphIndex
    graph_def: graph_pb2.GraphDef
    cuts: dict[str, str] = field(default_factory=dict)
    initializers: list[str] = field(default_factory=list)
    constants: dict[str, Constant] = field(default_factory=dict)
    contents: dict[str, Constant] = field(default_factory=dict)
    repairs: list[Repair] = field(default_factory=list)

    @classmethod
    def of(cls, request: Request, index: GraphIndex) -> "Draft":
        """The draft before the first pass. Args: `index`, that of the meta graph's graph."""
        acts = acting(request, index.graph_def.library)
        return cls(request, Initialization(request.meta_graph, index, request.run_after), acts, index, index.graph_def)


def acting(request: Request, library: FunctionDefLibrary) -> Callable[[Any], bool]:
    """What tells of a node of a graph with these functions whether it does something beside what it gives."""
    definitions = request.definitions
    return effects.acting(library, lambda op: op in definitions and definitions[op].stateful)
