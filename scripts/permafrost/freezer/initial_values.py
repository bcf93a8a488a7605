"""The values of variables that no saver restores: what their initializers assign, where the graph alone determines it.

Programs run the initializers before they restore. A value that is drawn, fed, read from files or taken from another
variable is none of the graph's own, and is refused by its reason.
"""

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING

from permafrost.flow.body import Body
from permafrost.freezer import constant_values
from permafrost.graph.declared import Declarations, declarations
from permafrost.graph.dtypes import dtype_name, numpy_dtype
from permafrost.graph.fed_controls import INPUT_PIPELINES
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops.stateful import RANDOM
from permafrost.graph.ops.unsafe import UNSAFE_OPS
from permafrost.graph.ops.variables import ASSIGNS, VARIABLE_OPS, may_have_shape, static_shape
from permafrost.graph.protos import MetaGraphDef, NodeDef
from permafrost.graph.pruning import PLACEHOLDERS
from permafrost.model import Defect
from permafrost.outcome import Problem
from permafrost.records import Variable, is_known

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

_ADDS = ("AssignAdd", "AssignAddVariableOp")
_LOCAL = {"local_variables", "metric_variables"}  # of tf.GraphKeys
_TENSORFLOWS = 4  # the rank of the reason that only TensorFlow can compute a value
_HANDS_ON = ("Identity", "Cast", "Reshape", "ReadVariableOp", "RefIdentity")


class InitialValues:
    """The initial values of the variables of a meta graph that have no key.

    Args:
      meta_graph: the MetaGraphDef, whose collections name the initializers.
      index: that of its graph.
      rows: as signature.importing.describe_variables gives them.
      with_counts: whether local variables to which nodes add, as those of metrics, are among them: whoever names an
        output that shows one wants to see it.
    """

    def __init__(self, meta_graph: MetaGraphDef, index: GraphIndex, rows: list[Variable], with_counts: bool = True):
        self._meta_graph, self._index, self._with_counts = meta_graph, index, with_counts
        self._rows = {row.variable: row for row in rows}
        self._found: dict[str, NDArray[Any] | Problem] = {}

    @cached_property
    def _writes(self) -> dict[str, list[NodeDef]]:
        """Variable -> what assigns to it, or adds to it, in the order of the graph."""
        body, found = Body(self._index.graph_def.node), defaultdict(list)
        for node in body.nodes.values():
            if node.op in (*ASSIGNS, *_ADDS) and len(self._index.inputs_of(node)) > 1:
                found[body.origin(node.input[0])].append(node)
        return found

    @cached_property
    def _declared(self) -> Declarations:
        return declarations(self._meta_graph)

    def of(self, name: str) -> "NDArray[Any]":
        """The value of the variable node `name`, of its dtype and a shape that it may have; strings are bytes.

        Raises Problem: that of its defect, or missing_variable with the reason why it has no such value.
        """
        if name not in self._found:
            try:
                self._found[name] = self._value(name)
            except Problem as problem:
                self._found[name] = problem
        found = self._found[name]
        if isinstance(found, Problem):
            raise found
        return found

    def has(self, name: str) -> bool:
        """Whether `of` gives a value."""
        try:
            self.of(name)
        except Problem:
            return False
        return True

    def may_have(self, name: str) -> bool:
        """Whether a variable may have an initial value of the graph's own, though perhaps only TensorFlow knows it."""
        row = self._rows.get(name)
        if row is None or row.key or is_known(row.defect):
            return False
        try:
            reasons = self._hindrances(name, self.initializer(name))
        except Problem:
            return False
        return all(rank == _TENSORFLOWS for rank, _ in reasons)

    def initializer(self, name: str) -> str:
        """The node that gives a variable its initial value. Raises Problem (missing_variable) where none is known."""
        declared = self._declared.get(name, {}).values()
        named = sorted({tensor_name(said.initializer_name)[0] for said in declared if said.initializer_name})
        if len(named) > 1:
            raise _refused(name, f"the graph names two initializers of it, {named[0]!r} and {named[1]!r}")
        initializer = named[0] if named else f"{name}/Assign"
        if initializer not in [node.name for node in self._writes.get(name, ()) if node.op in ASSIGNS]:
            raise _refused(name, "the graph has no initializer of it")
        return initializer

    def _value(self, name: str) -> "NDArray[Any]":
        row = self._rows.get(name)
        if row is not None and is_known(row.defect):
            raise _problem_of(name, row.defect)
        initializer = self._index.nodes[self.initializer(name)]
        self._refuse_other_sources(name, initializer)
        if not self._with_counts:
            self._refuse_count(name)
        if reasons := self._hindrances(name, initializer.name):
            raise _refused(name, f"its initial value {reasons[0][1]}")
        source, output = self._index.inputs_of(initializer)[1]
        try:
            value = constant_values.value(self._index, source, output)
        except Problem as problem:
            raise _refused(name, f"its initial value cannot be computed: {problem.message}") from problem
        self._refuse_unfit(self._index.nodes[name], value)
        return value

    def _hindrances(self, name: str, initializer: str) -> list[tuple[int, str]]:
        """What makes an initial value none that is computed here from the graph alone, the plainest reason first."""
        nodes = (self._index.nodes[each] for each in self._index.reach([initializer]) - {initializer, name})
        return sorted(filter(None, map(_hindrance, nodes)))

    def _refuse_other_sources(self, name: str, initializer: NodeDef) -> None:
        """Raises Problem for a variable that programs fill with what they feed, as embeddings, or copy from another."""
        for node in self._writes[name]:
            if node.op not in ASSIGNS or node.name == initializer.name:
                continue
            (origin, _), _ = self._index.upstream(self._index.inputs_of(node)[1], _HANDS_ON)
            source = self._index.nodes.get(origin)
            if source is not None and source.op in PLACEHOLDERS:
                raise _refused(name, f"node {node.name!r} is there to assign what is fed to {source.name!r}")
            if source is not None and source.op in VARIABLE_OPS and source.name != name:
                raise _refused(name, f"node {node.name!r} is there to copy variable {source.name!r} to it")

    def _refuse_count(self, name: str) -> None:
        if not _LOCAL & self._declared.get(name, {}).keys():
            return
        for node in self._writes[name]:
            if node.op in _ADDS:
                raise _refused(name, f"node {node.name!r} counts in it, as metrics do; name the output to have it")

    def _refuse_unfit(self, variable: NodeDef, value: "NDArray[Any]") -> None:
        """Raises Problem where an initial value is none that the variable can be given."""
        declared, dtype = static_shape(variable), dtype_name(variable.attr["dtype"].type)
        if not may_have_shape(declared, value.shape) or value.dtype != numpy_dtype(dtype):
            is_ = f"its initial value is {value.dtype} of shape {list(value.shape)}"
            raise _refused(variable.name, f"{is_}, and it is {dtype} of shape {list(declared or ())}")


def _hindrance(node: NodeDef) -> tuple[int, str] | None:
    """Why a node on the way to an initial value makes it none of the graph's own, the plainest reasons first."""
    if RANDOM.match(node.op) or "seed2" in node.attr:
        return _TENSORFLOWS if node.op.startswith("Stateless") else 0, f"is random (node {node.name!r}, {node.op})"
    if node.op in PLACEHOLDERS or node.op in INPUT_PIPELINES:
        return 1, f"depends on what is fed to {node.name!r} ({node.op})"
    if node.op in UNSAFE_OPS:
        return 2, f"depends on node {node.name!r} ({node.op}), which {UNSAFE_OPS[node.op]}"
    if node.op in VARIABLE_OPS:
        return 3, f"depends on another variable, {node.name!r}"
    if node.op not in constant_values.COMPUTED:
        return _TENSORFLOWS, f"is made by node {node.name!r} ({node.op}), which only TensorFlow can compute"
    return None


def _problem_of(name: str, defect: Defect) -> Problem:
    """The Problem of a defect, which is to name the variable."""
    message = defect.message
    if repr(name) not in message:
        message = f"variable {name!r} is needed for the outputs, but {message}"
    return Problem(defect.cause, message, defect.hint)


def _refused(name: str, why: str) -> Problem:
    return Problem(
        "missing_variable",
        f"variable {name!r} is needed for the outputs, but the meta graph's saver does not restore it, and {why}",
    )
