"""The two graphs that the judge compares, as they are read: what is fed to both and fetched from both."""

from functools import cached_property

from permafrost.graph import graph_sources, pruning, vocabularies
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops.kept_state import find_state_keeper
from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.graph.protos import NodeDef
from permafrost.input_kinds import Default
from permafrost.judge import replicas
from permafrost.judge.sessions import Feed
from permafrost.judge.sides import FrozenFile, left_to_run, restores_of
from permafrost.records import ForeignProvenance, ImportRecord, Provenance, known
from permafrost.signature import baking, feeds, heads


class Graphs:
    """The checkpoint's graph and the frozen one of one model, before TensorFlow imports any of them.

    outputs: the tensors of the model's outputs. before_heads: what goes into an ArgMax, a Softmax or another head on
    the way to them, which shows differences that a head hides, with the output. All have the same names on both sides.
    inputs: those that are fed, by the tensor's name. baked: those of them that the frozen graph has as constants: in
    each trial the checkpoint's side is fed the value that they have there, and the frozen side nothing. names,
    frozen_names: their tensors on either side.
    batches: the batch sizes to try. imported: the import record. graph_def, index: the meta graph's graph with its
    inputs cut. frozen: what the file holds. initializers: the nodes that fill the tables of the checkpoint's
    side, after the restore. vocabularies: those that read a text file which the model has.
    constants, kept: names of the variables that are constants in the frozen graph and of those that are variables
    still. is_foreign: whether another tool made the frozen graph.
    """

    def __init__(self, imported: ImportRecord, provenance: Provenance, frozen_graph: str, runs_frozen: bool = True):
        """Reads both from the disk; without the frozen graph's large weights where that will not be run.

        Raises Problem as graph_sources.read and FrozenFile do.
        """
        self.imported = imported
        self.meta_graph = graph_sources.read(imported.graph)
        replicas.stand_in(self.meta_graph)
        self.batches = imported.batches
        baked = known(provenance.baked, {})
        specs = imported.inputs | {name: baking.spec_of(imported.inputs[name], value) for name, value in baked.items()}
        self.inputs = {name: spec for name, spec in specs.items() if not isinstance(spec, Default)}
        self.baked = baked.keys()
        self.graph_def, cuts = pruning.cut_inputs(self.meta_graph.graph_def, list(imported.inputs), imported.outputs)
        self.names = {name: cuts.get(name, name) for name in self.inputs}
        self.frozen_names = provenance.inputs
        self.index = GraphIndex(self.graph_def)
        self.initializers = left_to_run(self.index, self.meta_graph, provenance.initializers)
        self.vocabularies = set(vocabularies.paths(imported))
        tensors = [name if ":" in name else f"{name}:0" for name in imported.outputs]
        self.outputs = list(dict.fromkeys(cuts.get(name, name) for name in tensors))
        hidden = heads.before_heads(self.index, self.outputs, self.fed)
        self.before_heads = {name: output for name, output in hidden.items() if name not in self.outputs}
        variables = {name for name, node in self.index.nodes.items() if node.op in VARIABLE_OPS}
        self.is_foreign = isinstance(provenance, ForeignProvenance)
        own = provenance.frozen_initializers if isinstance(provenance, ForeignProvenance) else provenance.initializers
        file = FrozenFile.read(frozen_graph, variables, own) if runs_frozen else FrozenFile.outline(frozen_graph, own)
        self.frozen = file
        frozen = [node for node in self.frozen.graph_def.node if node.name in variables]
        self.constants = [node.name for node in frozen if node.op == "Const"]
        self.kept = [node.name for node in frozen if node.op in VARIABLE_OPS]

    @cached_property
    def restores(self) -> list[str]:
        """The nodes by which the saver restores what the checkpoint's side needs; none without a saver."""
        names = [*(tensor_name(name)[0] for name in [*self.outputs, *self.fed]), *self.initializers]
        return restores_of(self.index, self.meta_graph, self.imported, [*names, *self.constants, *self.kept])

    @cached_property
    def state_keeper(self) -> NodeDef | None:
        """A node of either side that a run executes, and that keeps state from run to run; None where there is none."""
        fed = {self.frozen_names[name] for name in self.names if name in self.frozen_names}
        sides = (self.index, self.fed, self.initializers), (self.frozen.index, fed, self.frozen.initializers)
        found = (find_state_keeper(index, self.fetched, fed, filling) for index, fed, filling in sides)
        return next((node for node in found if node is not None), None)

    @property
    def given(self) -> set[str]:
        """The variables that the checkpoint, or what runs after the restore, gives a value."""
        initialized = {each.variable for each in known(self.imported.initialized, [])}
        return initialized | {variable.variable for variable in self.imported.variables if variable.key}

    @property
    def fed(self) -> set[str]:
        """The tensors of the checkpoint's side that are fed."""
        return set(self.names.values())

    @property
    def fetched(self) -> list[str]:
        """The tensors to compare: the outputs, then those before heads."""
        return [*self.outputs, *self.before_heads]

    def feed(self, seed: int, batch: int, directory: str) -> Feed:
        """The arrays of one trial, by the names of the import record. Raises Problem (bad_feed)."""
        return feeds.make(self.inputs, seed, batch, directory)
