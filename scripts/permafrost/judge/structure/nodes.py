"""The judge's first layer: every node of the frozen graph is the meta graph's, but for a closed table of changes.

Numbers alone would not notice a changed seed, a dropped assertion or an epsilon too small to matter for the inputs
tried. The judge derives again, from the meta graph, what a node may have become; it does not ask the freezer.
"""

from collections import Counter
from collections.abc import Collection
from typing import Any

from numpy.typing import NDArray
from tensorflow.python.framework import op_def_registry

from permafrost.flow.body import PASSING, Body
from permafrost.flow.branches import Branches
from permafrost.graph import pruning
from permafrost.graph.index import tensor_name
from permafrost.graph.ops import effects, registry
from permafrost.graph.ops.variables import VARIABLE_OPS, resource_name
from permafrost.graph.protos import FunctionDef, FunctionDefLibrary, GraphDef, MetaGraphDef, NodeDef, types_pb2
from permafrost.judge.structure import baked, filled_tables, permitted, scattered
from permafrost.judge.structure.filled_tables import FilledTables
from permafrost.judge.structure.written_reads import HANDLE_WRITES, REFERENCE_WRITES, WrittenReads
from permafrost.outcome import Problem

_INITIALIZED = ("IsVariableInitialized", "VarIsInitializedOp")


def check(
    meta_graph: MetaGraphDef,
    frozen: Any,
    cuts: dict[str, str],
    outputs: list[str],
    restored: set[str] | None = None,
    values: dict[str, NDArray[Any]] | None = None,
    fed: Collection[str] = (),
) -> int:
    """Compares each node and function of the frozen GraphDef with the meta graph's; returns the number of nodes.

    Args:
      cuts: fed tensor -> tensor of the placeholder in its place.
      outputs: names of the output nodes or tensors.
      restored: the variables that the checkpoint has a value for; all, where it is None.
      values: placeholder -> the constant in its place. fed: the tensors that are fed, of the graph with its inputs cut.
    Raises Problem (structure_differs) naming the first node that is neither the same nor a permitted change.
    """
    graph_def, derived = pruning.cut_inputs(meta_graph.graph_def, list(cuts), outputs)
    if derived != cuts:
        raise Problem("structure_differs", f"the inputs {sorted(cuts)} are cut in another way than {sorted(derived)}")
    if frozen.versions != graph_def.versions:
        raise Problem("structure_differs", "the frozen graph's versions are not the meta graph's")
    if values:
        graph_def = _baked(graph_def, values, frozen, outputs, fed)
    after = {node.name: node for node in frozen.node}
    if len(after) < len(frozen.node):
        raise Problem("structure_differs", "the frozen graph has two nodes of one name")
    before = Body(graph_def.node)
    constants = {
        name: node.attr["dtype"].type
        for name, node in before.nodes.items()
        if node.op in VARIABLE_OPS and name in after and after[name].op == "Const"
    }
    originals = {function.signature.name: function for function in graph_def.library.function}
    copies = {function.signature.name: function for function in frozen.library.function}
    functions = _Functions(originals, copies, graph_def.library, _filled_otherwise(meta_graph, before))
    _refuse_ways_around(frozen)
    body = Body(frozen.node)
    tables = FilledTables(before, body, filled_tables.restored_by(meta_graph, before), graph_def.library)
    _Comparison(before, body, constants, functions, restored, outputs, tables).check()
    functions.check_rest()
    return len(frozen.node)


def _baked(
    graph_def: GraphDef, values: dict[str, NDArray[Any]], frozen: Any, outputs: list[str], fed: Collection[str]
) -> GraphDef:
    names = [*(node.name for node in frozen.node), *(tensor_name(name)[0] for name in outputs)]
    acts = effects.acting(graph_def.library, _is_stateful)
    return baked.derive(graph_def, values, names, {tensor_name(name)[0] for name in fed}, acts)


class _Comparison:
    """One body before and after: the graph, or a function and its copy.

    Args:
      values: the variables, or arguments, that are values now -> DataType.
    """

    def __init__(
        self,
        before: Body,
        after: Body,
        values: dict[str, int],
        functions: "_Functions",
        restored: set[str] | None,
        outputs: list[str],
        tables: FilledTables | None = None,
    ):
        self._contents = tables.contents if tables is not None else {}
        self._filled = tables.expected if tables is not None else {}
        self._before, self._after = before, after
        self._values, self._functions, self._restored = values, functions, restored
        run = _executed(before, after, outputs)
        self._place = permitted.Place(run, Branches(run, functions.acts), before.nodes.keys() | before.arguments.keys())
        gone = {name: dtype for name, node in before.nodes.items() if (dtype := self._overwritten(name, node))}
        self._dtypes = values | gone
        references = {name for name, node in before.nodes.items() if node.op in ("Variable", "VariableV2")}
        self._reads = WrittenReads(run, self._dtypes, references, self._place, functions.originals, outputs)
        self._refuse_twins(run)
        self._scatters = self._expected_scatters(run)

    def _refuse_twins(self, run: Body) -> None:
        """Two nodes may be one variable by their shared_name; then a write by the one is seen by the other."""
        variables = {name for name, node in run.nodes.items() if node.op in VARIABLE_OPS} | self._reads.written
        known = {name: resource_name(self._before.nodes[name]) for name in variables if name in self._before.nodes}
        counts = Counter(known.values())
        for name in sorted(self._reads.written):
            if name in known and counts[known[name]] > 1:
                raise self._differs(self._before.nodes[name], "is written to in the meta graph under another name, too")

    def _overwritten(self, name: str, node: NodeDef) -> int:
        """The DataType of a variable of which the frozen graph has nothing, as it is only written to; else 0."""
        return node.attr["dtype"].type if node.op in VARIABLE_OPS and name not in self._after.nodes else 0

    def check(self) -> None:
        for node in self._after.nodes.values():
            before = self._before.nodes.get(node.name)
            if before is None and node.name in self._contents:
                if not filled_tables.is_content(node, self._contents[node.name]):
                    raise self._differs(node, "is no plain constant of the table's dtype")
            elif before is None:
                self._compare(self._added(node), node)
            elif before.op in VARIABLE_OPS and node.op == "Const":
                self._check_constant(before, node)
            else:
                self._check_node(before, node)

    def _expected_scatters(self, run: Body) -> dict[str, tuple[str, NodeDef]]:
        """Node of the frozen graph -> the scatter that it is, or stands beside, and what it has to be."""
        found = {}
        for node in run.nodes.values():
            if node.op in (*scattered.REFERENCE_SCATTERS, *scattered.HANDLE_SCATTERS) and node.input:
                origin = run.origin(node.input[0])
                wanted = scattered.expected(node, origin, self._place) if origin in self._dtypes else []
                found.update({each.name: (node.name, each) for each in wanted})
        return found

    def _added(self, node: NodeDef) -> NodeDef:
        """What a node has to be that the meta graph lacks. Raises Problem where the frozen graph may not have it."""
        if node.name in self._filled:
            return self._filled[node.name]
        if node.name in self._scatters:
            return self._scatters[node.name][1]
        gather = self._before.nodes.get(node.name.rpartition("/axis")[0])
        if gather is None or gather.op != "ResourceGather" or node.name != self._axis_of(gather):
            raise self._differs(node, "is not in the meta graph")
        return permitted.gather_axis(gather, node.name, self._place)

    def _axis_of(self, gather: NodeDef) -> str:
        return permitted.axis_name(gather, self._place)

    def _differs(self, node: NodeDef, how: str) -> Problem:
        function = self._after.function
        where = f" of function {function.signature.name!r}" if function is not None else ""
        return Problem("structure_differs", f"node {node.name!r} ({node.op}){where} of the frozen graph {how}")

    def _check_constant(self, before: NodeDef, node: NodeDef) -> None:
        dtype = before.attr["dtype"].type
        right = set(node.attr) == {"dtype", "value"} and not node.input and not before.input
        if not right or node.attr["dtype"].type != dtype or node.attr["value"].tensor.dtype != dtype:
            raise self._differs(node, "is no plain constant of the variable's dtype")

    def _check_node(self, before: NodeDef, node: NodeDef) -> None:
        origin = self._before.origin(before.input[0]) if before.input else ""
        dtype = self._dtypes.get(origin, 0)
        if node.name in self._filled:
            self._compare(self._filled[node.name], node)
        elif before.op in _INITIALIZED and node.op == "Const":
            is_restored = self._restored is None or origin in self._restored or origin in self._before.arguments
            if not is_restored and origin in self._functions.filled | self._reads.written:
                raise self._differs(node, "asks for a variable that something else than the saver may fill")
            self._compare(permitted.initialized(before, is_restored, self._place), node)
        elif before.op == node.op:
            self._compare(before, node, dtype)
        elif node.name in self._scatters:
            self._compare(self._scatters[node.name][1], node, dtype)
        elif make := self._conversion(before, node):
            if not dtype and not before.op.startswith("Ref"):
                raise self._differs(node, f"was {before.op} in the meta graph, and of no variable that is converted")
            self._compare(make(before, dtype, self._place), node, dtype)
        else:
            raise self._differs(node, f"was {before.op} in the meta graph")

    def _conversion(self, before: NodeDef, node: NodeDef) -> Any:
        pair = before.op, node.op
        unread = permitted.UNREAD if node.name not in self._reads.observed else {}
        return permitted.CONVERSIONS.get(pair) or unread.get(pair)

    def _compare(self, expected: Any, node: NodeDef, dtype: int = 0) -> None:
        if expected is None:
            raise self._differs(node, "runs where it does not run in the meta graph")
        if expected.op != node.op:
            raise self._differs(node, f"should be {expected.op}")
        # Those of functions are never cleared.
        if node.device not in ("", expected.device)[self._after.function is not None :]:
            raise self._differs(node, f"is on device {node.device!r}")
        wanted, found = ([text for text in n.input if not text.startswith("^")] for n in (expected, node))
        if len(wanted) != len(found) or not all(map(self._same_input, [node] * len(found), wanted, found)):
            raise self._differs(node, "has other inputs than in the meta graph")
        controls = [{text for text in n.input if text.startswith("^")} for n in (expected, node)]
        if controls[0] != controls[1]:
            raise self._differs(node, "has other control inputs than in the meta graph")
        for name in sorted(set(expected.attr) | set(node.attr)):
            if not self._same_attribute(name, expected, node, dtype):
                raise self._differs(node, f"has another value of the attribute {name!r} than in the meta graph")

    def _same_input(self, node: NodeDef, wanted: str, found: str) -> bool:
        reader, _ = self._scatters.get(node.name, (node.name, None))
        return self._reads.expected.get((reader, wanted), self._renamed(wanted)) == found

    def check_results(self, before: dict[str, str], after: dict[str, str]) -> None:
        """Compares what a function returns: result -> the node's output that it is."""
        if set(before) != set(after) or not all(self._renamed(before[name]) == after[name] for name in before):
            function = self._after.function.signature.name if self._after.function is not None else ""
            raise Problem("structure_differs", f"function {function!r} returns something else")

    def _renamed(self, text: str) -> str:
        """How an input is to be named now: in functions, outputs go by the names that their ops give them."""
        source = self._before.source(text)
        before = self._before.nodes.get(source)
        if self._before.function is None or before is None or before.op not in permitted.RENAMED_OUTPUTS:
            return text
        if source not in self._after.nodes or self._after.nodes[source].op == before.op:
            return text
        old, new = permitted.RENAMED_OUTPUTS[before.op]
        return text.replace(f"{source}:{old}:", f"{source}:{new}:")

    def _same_attribute(self, name: str, expected: Any, node: NodeDef, dtype: int) -> bool:
        if name == "_output_shapes":
            return True
        if name == "_class":
            before = self._before.nodes.get(node.name, expected)
            return set(node.attr[name].list.s) <= set(before.attr[name].list.s)
        definition = op_def_registry.get(node.op)
        if name not in node.attr:
            return definition is not None and name not in {attr.name for attr in definition.attr}
        value = node.attr[name]
        if name not in expected.attr:
            defaults = {attr.name: attr.default_value for attr in definition.attr} if definition is not None else {}
            return name in defaults and value == defaults[name]
        if value == expected.attr[name]:
            return True
        if name == "T" and node.op in (*PASSING, "Merge") and expected.attr[name].type == types_pb2.DT_RESOURCE:
            return value.type == dtype or (node.op == "Merge" and value.type in self._values.values())
        if node.op in permitted.CALLS:
            return self._same_call(name, expected, node)
        return False

    def _same_call(self, name: str, expected: Any, node: NodeDef) -> bool:
        """Whether an attribute of a call differs by what follows from its converted arguments, and by no more."""
        first, types = permitted.CALLS[node.op]
        arguments = [text for text in node.input if not text.startswith("^")][first:]
        converted = {
            index: self._values[self._before.origin(text)]
            for index, text in enumerate(arguments)
            if self._before.origin(text) in self._values
        }
        before, after = expected.attr[name], node.attr[name]
        if name == types:
            right = [converted.get(index, dtype) for index, dtype in enumerate(before.list.type)]
            return list(after.list.type) == right
        if name == "output_shapes":
            shapes = zip(before.list.shape, after.list.shape, strict=False)
            same = all(index in converted or a == b for index, (a, b) in enumerate(shapes))
            return same and len(before.list.shape) == len(after.list.shape)
        if before.WhichOneof("value") != after.WhichOneof("value") or not (before.func.name or before.list.func):
            return False
        pairs = [(before.func, after.func), *zip(before.list.func, after.list.func, strict=False)]
        if len(before.list.func) != len(after.list.func) or any(a.attr != b.attr for a, b in pairs):
            return False
        for a, b in pairs:
            if a.name != b.name:
                self._functions.check(a.name, b.name, converted, is_loop=name == "body")
        return True


def _refuse_ways_around(frozen: Any) -> None:
    """Raises Problem (structure_differs) for what reaches a variable by another way than by its node."""
    functions = [node for function in frozen.library.function for node in function.node_def]
    for node in (*frozen.node, *functions):
        is_handle = node.op == "Const" and node.attr["dtype"].type == types_pb2.DT_RESOURCE
        if is_handle or node.op in ("_VarHandlesOp", "DestroyResourceOp") or node.op.startswith("Inplace"):
            raise Problem(
                "structure_differs", f"node {node.name!r} ({node.op}) reaches memory that the graph does not lead it to"
            )


def _filled_otherwise(meta_graph: MetaGraphDef, before: Body) -> set[str]:
    """The variables that share a name with another node's, or that a restore assigns: who knows what they hold."""
    counts = Counter(resource_name(node) for node in before.nodes.values() if node.op in VARIABLE_OPS)
    found = {name for name, node in before.nodes.items() if node.op in VARIABLE_OPS and counts[resource_name(node)] > 1}
    restore_op = meta_graph.saver_def.restore_op_name.partition(":")[0]
    waiting, seen = [restore_op], set()
    while waiting:
        node = before.nodes.get(waiting.pop())
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        waiting.extend(map(before.source, node.input))
        if node.op in (*REFERENCE_WRITES, *HANDLE_WRITES) and node.input:
            found.add(before.origin(node.input[0]))
        elif node.op in permitted.CALLS:  # What it calls may write to all that it is given.
            found.update(map(before.origin, node.input))
    return found


def _is_stateful(op: str) -> bool:
    definition = op_def_registry.get(op)
    return definition is not None and registry.keeps_state(definition)


def _executed(before: Body, after: Body, outputs: list[str]) -> Body:
    """The part of a body that runs where the nodes of the frozen one are to run: with all that they wait for."""
    reached, waiting = set(), [name for name in after.nodes if name in before.nodes]
    while waiting:
        name = waiting.pop()
        if name in reached or name not in before.nodes:
            continue
        reached.add(name)
        waiting.extend(map(before.source, before.nodes[name].input))
    return Body([node for name, node in before.nodes.items() if name in reached], before.function, outputs)


class _Functions:
    """The library's functions before and after, compared when a call says that one stands for the other."""

    def __init__(
        self,
        originals: dict[str, FunctionDef],
        copies: dict[str, FunctionDef],
        library: FunctionDefLibrary,
        filled: set[str],
    ):
        self.filled = filled
        self.originals, self._copies = originals, copies
        self.acts = effects.acting(library, _is_stateful)
        self._checked: set[tuple[Any, ...]] = set()

    def check(self, name: str, copy_name: str, converted: dict[int, int], is_loop: bool) -> None:
        """Raises Problem (structure_differs) where `copy_name` is not function `name` with values for variables.

        Args:
          converted: index of an argument that became a value -> DataType.
          is_loop: whether it is a loop's body, whose results have its arguments' dtypes.
        """
        key = (name, copy_name, tuple(sorted(converted.items())), is_loop)
        if key in self._checked:
            return
        self._checked.add(key)
        if name not in self.originals or copy_name not in self._copies:
            raise Problem(
                "structure_differs", f"function {copy_name!r} stands for {name!r}, and one of them is missing"
            )
        before, after = self.originals[name], self._copies[copy_name]
        self._check_signature(before, after, converted, is_loop)
        bodies = Body(before.node_def, before), Body(after.node_def, after)
        values = {before.signature.input_arg[index].name: dtype for index, dtype in converted.items()}
        comparison = _Comparison(*bodies, values, self, None, [])
        comparison.check()
        if set(bodies[0].nodes) - set(bodies[1].nodes):
            raise Problem("structure_differs", f"function {copy_name!r} lacks nodes of {name!r}")
        comparison.check_results(before.ret, after.ret)

    def _check_signature(self, before: NodeDef, after: NodeDef, converted: dict[int, int], is_loop: bool) -> None:
        expected = type(before)()
        expected.CopyFrom(before)
        expected.signature.name = after.signature.name
        for index, dtype in converted.items():
            expected.signature.input_arg[index].type = dtype
            if is_loop:
                expected.signature.output_arg[index].type = dtype
        actual = type(after)()
        actual.CopyFrom(after)
        for function in (expected, actual):
            for field in ("node_def", "ret", "arg_attr"):
                function.ClearField(field)
            function.attr.pop("_input_shapes", None)
        if expected != actual:
            name = before.signature.name
            raise Problem("structure_differs", f"function {after.signature.name!r} has another signature than {name!r}")

    def check_rest(self) -> None:
        """Raises Problem (structure_differs) for a function that no call explains and that is not as it was."""
        explained = {copy_name for _, copy_name, _, _ in self._checked}
        for name, function in self._copies.items():
            if name not in explained and self.originals.get(name) != function:
                raise Problem("structure_differs", f"function {name!r} differs from the meta graph's")
