"""What gives the variables of a meta graph their values before its first run: what its saver and its loader do.

A frozen graph has what the checkpoint holds. Where TensorFlow puts something else there, it is refused.
"""

from collections.abc import Callable, Iterable

from permafrost.flow.body import Body
from permafrost.freezer.state_changes import Changes, Seeing
from permafrost.graph.call_frames import Frame, Frames
from permafrost.graph.calls import needed_functions
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.initializers import target
from permafrost.graph.loading import init_op
from permafrost.graph.ops.stateful import TABLE_INITIALIZERS
from permafrost.graph.ops.variables import ASSIGNS, REF_WRITES, RESOURCE_WRITES, VARIABLE_OPS, Resource, resource_name
from permafrost.graph.protos import GraphDef, MetaGraphDef, NodeDef
from permafrost.graph.pruning import TABLES, needed
from permafrost.outcome import Problem
from permafrost.records import OpDefinition


class Initialization:
    """What is done to a meta graph before its first run.

    Args:
      index: that of the meta graph's graph.
      run_after: the nodes that are run after the restore, and of which it is known what they leave in variables.
    `restoring` has the nodes that the saver runs.
    """

    def __init__(self, meta_graph: MetaGraphDef, index: GraphIndex, run_after: Iterable[str] = ()):
        self._index, self._body = index, Body(index.graph_def.node)
        restore_op = tensor_name(meta_graph.saver_def.restore_op_name)[0]
        self._init_op = init_op(meta_graph)
        self.restoring = sorted(index.reach([restore_op])) if restore_op else []
        self._loading = sorted(index.reach([self._init_op]))
        self._after = sorted(index.reach(run_after))

    def ops(self) -> set[str]:
        """The op types of all that the saver and the loader run, also in functions."""
        nodes = [self._index.nodes[name] for name in {*self.restoring, *self._loading, *self._after}]
        functions = needed_functions(nodes, self._index.graph_def.library)
        return {node.op for node in nodes} | {node.op for function in functions for node in function.node_def}

    def doubtful(self) -> set[str]:
        """The variables that other nodes than those that the saver fills may give a value.

        These are nodes that are one variable by their shared_name, and what a restore assigns.
        """
        names: dict[Resource, list[str]] = {}
        for node in self._index.graph_def.node:
            if node.op in VARIABLE_OPS:
                names.setdefault(resource_name(node), []).append(node.name)
        found = {name for twins in names.values() if len(twins) > 1 for name in twins}
        for name in self.restoring:
            node = self._index.nodes[name]
            if node.op in (*REF_WRITES, *RESOURCE_WRITES) and node.input:
                found.add(self._body.origin(node.input[0]))
        for frame in self._frames(self.restoring).frames:
            written = (node.input[0] for node in frame.nodes.values() if node.op in RESOURCE_WRITES and node.input)
            found.update(source.name for text in written if (source := frame.source(text)[1]) is not None)
        return found

    def _frames(self, names: Iterable[str]) -> Frames:
        return Frames(self._index.graph_def.node, self._index.graph_def.library, names)

    @staticmethod
    def _restores(frame: Frame, node: NodeDef) -> bool:
        """As _assigns, for a node of a function that gets the handle as an argument."""
        where, source, _ = frame.source(node.input[0]) if node.op in ASSIGNS and node.input else (frame, None, 0)
        return source is not None and not where.function and source.op in VARIABLE_OPS

    def refuse_changes(
        self, graph_def: GraphDef, initializers: list[str], definitions: dict[str, OpDefinition], initial: set[str]
    ) -> None:
        """Raises Problem (unsupported_op) where the saver or the loader changes what a graph could see.

        A frozen graph has the values of the checkpoint, not what a saver computes, inserts, enqueues or draws, nor what
        TensorFlow's loader of a SavedModel does after the restore (get_init_op in
        tensorflow/python/saved_model/loader_impl.py).
        Args:
          graph_def: the part of the graph that is frozen.
          initializers: its nodes that fill its tables.
          definitions: as graph.ops.registry gives them, also of `ops()`.
          initial: the nodes that give variables the initial values with which they are frozen.
        """
        changes = Changes(self._index.graph_def.library, definitions)
        seeing = changes.seeing(list(graph_def.node))
        assigning = {name for name in self.restoring if self._assigns(self._index.nodes[name])}
        filling = self._filling(initializers)
        self._refuse(changes, seeing, self.restoring, assigning | filling, self._restores, "while the saver restores")
        loading = f"when the SavedModel's init op {self._init_op!r} is run after the restore"
        captured, fills = filling | self._known(graph_def), _fills(initializers)
        self._refuse(changes, seeing, self._loading, captured | initial, fills, loading)
        # Tables that they fill are filled by their own initializers in the frozen graph.
        self._refuse(changes, seeing, self._after, captured, fills, "when it is run after the restore")

    def _known(self, graph_def: GraphDef) -> set[str]:
        """The writes after the restore whose variables are frozen with what they leave, all nodes of each of them."""
        targets = {name: variable for name in self._after if (variable := target(self._index, name))}
        written = set(targets.values())
        variables = [node for node in graph_def.node if node.op in VARIABLE_OPS] if written else []
        others = {resource_name(node) for node in variables if node.name not in written}
        return {name for name, variable in targets.items() if resource_name(self._index.nodes[variable]) not in others}

    def _assigns(self, node: NodeDef) -> bool:
        """Whether a NodeDef gives a variable of the graph a value; which one, the weights tell."""
        source = self._index.nodes.get(self._body.origin(node.input[0])) if node.op in ASSIGNS and node.input else None
        return source is not None and source.op in VARIABLE_OPS

    def _refuse(
        self,
        changes: Changes,
        seeing: Seeing,
        names: list[str],
        plain: set[str],
        is_plain: Callable[[Frame, NodeDef], bool],
        when: str,
    ) -> None:
        nodes = [self._index.nodes[name] for name in names]
        for node in nodes:
            change = changes.of(node, self._body) if node.name not in plain else None
            if change and (seen := seeing.sees(change)):
                raise Problem("unsupported_op", f"node {node.name!r} ({node.op}) changes what {seen!r} holds {when}")
        frames = self._frames(names)
        for function, node, change in changes.in_functions(nodes, frames):
            calls = frames.of(function)
            if calls and all(is_plain(frame, node) for frame in calls):
                continue
            if change.names and not change.is_hidden and not seeing.sees(change):
                continue
            raise Problem(
                "unsupported_op",
                f"node {node.name!r} ({node.op}) of function {function!r} changes what a frozen graph lacks {when}",
            )

    def refuse_other_fillings(self, graph_def: GraphDef, initializers: list[str]) -> None:
        """Raises Problem (unsupported_op) for a table of a graph that is filled by way of another node of its name.

        Args: as those of refuse_changes.
        """
        filling = self._filling(initializers)
        filled = set(map(self._filled, filling))
        functions = needed_functions(graph_def.node, graph_def.library)
        nodes = [node for node in graph_def.node if node.name not in filled]
        nodes += [node for function in functions for node in function.node_def]
        tables = {resource_name(node): node for node in nodes if node.op in TABLES}
        for node in self._index.graph_def.node if tables else ():
            twin = self._index.nodes.get(self._filled(node.name)) if node.op in TABLE_INITIALIZERS else None
            table = tables.get(resource_name(twin)) if twin is not None and node.name not in filling else None
            if twin is not None and table is not None:
                raise Problem(
                    "unsupported_op",
                    f"table {table.name!r} ({table.op}) is filled as {twin.name!r} by {node.name!r} ({node.op}), "
                    "which is not known to fill it",
                )

    def _filling(self, initializers: list[str]) -> set[str]:
        """What fills tables where the nodes `initializers` run."""
        return {name for name in self._index.reach(initializers) if self._index.ops[name] in TABLE_INITIALIZERS}

    def _filled(self, initializer: str) -> str:
        inputs = self._index.nodes[initializer].input
        return self._body.origin(inputs[0]) if inputs else ""


def _fills(initializers: list[str]) -> Callable[[Frame, NodeDef], bool]:
    """Whether a node of a function fills a table in a call that fills the frozen graph's tables as well."""
    calls = set(initializers)
    return lambda frame, node: node.op in TABLE_INITIALIZERS and frame.call in calls


def refuse_written_by_initializers(
    index: GraphIndex, outputs: list[str], initializers: Iterable[str], definitions: dict[str, OpDefinition]
) -> None:
    """Raises Problem (unsupported_op) where what fills the tables writes to a variable that the outputs need.

    Such a variable is a constant in a frozen graph, which nothing changes. Other state it keeps, and changes likewise.
    Args:
      index: of the graph with its inputs cut.
      outputs: names of the output nodes.
    """
    changes, body = Changes(index.graph_def.library, definitions), Body(index.graph_def.node)
    own = [index.nodes[name] for name in sorted(needed(index, outputs, with_colocated=False))]
    called = [node for f in needed_functions(own, index.graph_def.library) for node in f.node_def]
    seeing = Seeing([node for node in [*own, *called] if node.op in VARIABLE_OPS])
    running = [index.nodes[name] for name in sorted(index.reach(initializers))]
    found = [(node, changes.of(node, body)) for node in running]
    # Where nobody knows how a function is called, it may have got the handle of any variable.
    frames = Frames(index.graph_def.node, index.graph_def.library, [node.name for node in running])
    found += [(node, change) for _, node, change in changes.in_functions(running, frames)]
    for node, change in found:
        if change and (change.names or change.is_hidden) and (seen := seeing.sees(change)):
            raise Problem(
                "unsupported_op",
                f"node {node.name!r} ({node.op}) writes to variable {seen!r} when the lookup tables are filled",
            )
