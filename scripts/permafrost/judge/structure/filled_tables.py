"""The judge's word on lookup tables: which initializers take constants in a frozen graph, and what these look like.

Derived from the meta graph alone; what is in the constants is for judge.tables to compare with what TensorFlow makes of
the file or of the checkpoint.
"""

from collections.abc import Collection
from typing import Any

from permafrost.flow.body import Body
from permafrost.graph.call_frames import Frame, Frames
from permafrost.graph.protos import FunctionDefLibrary, MetaGraphDef, NodeDef, node_def_pb2
from permafrost.graph.pruning import TABLES

_OF_TENSORS = {
    "InitializeTableFromTextFile": "InitializeTable",
    "InitializeTableFromTextFileV2": "InitializeTableV2",
}
_IMPORTS = ("LookupTableImport", "LookupTableImportV2")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_QUIET = (*_CALLS, "Const", "Identity", "NoOp")


class FilledTables:
    """The initializers of a frozen graph that take constants where those of the meta graph take something else.

    expected: initializer, or what stands between it and a constant -> the NodeDef that it has to be. contents: constant
    -> its DataType.
    """

    def __init__(self, before: Body, after: Body, restoring: Collection[str], library: FunctionDefLibrary):
        """
        Args:
          before, after: the meta graph with its inputs cut, and the frozen graph.
          restoring: the nodes that the meta graph's saver runs.
          library: the meta graph's functions.
        """
        self.expected: dict[str, Any] = {}
        self.contents: dict[str, int] = {}
        self._library = library
        self._expect_imports_of_functions(before, after, restoring)
        for name, node in after.nodes.items():
            own = before.nodes.get(name)
            if own is None:
                continue
            if own.op in _CALLS and node.op == "InitializeTableV2" and (filling := self._of_call(own, before)):
                self._expect(filling, ("Tkey", "Tval"), before)
            elif own.op in _OF_TENSORS and node.op == _OF_TENSORS[own.op]:
                self._expect(self._of_tensors(own, before), ("Tkey", "Tval"), before)
            elif own.op in _IMPORTS and name in restoring:
                self._expect(own, ("Tin", "Tout"), before)

    @staticmethod
    def _of_tensors(own: NodeDef, before: Body) -> NodeDef:
        """The twin of a node that reads a file: for the dtypes of its table."""
        table = before.nodes.get(before.origin(own.input[0]))
        node = node_def_pb2.NodeDef(name=own.name, op=_OF_TENSORS[own.op], device=own.device, input=own.input)
        if table is not None:
            node.attr["Tkey"].type, node.attr["Tval"].type = (table.attr[k].type for k in ("key_dtype", "value_dtype"))
        return node

    def _of_call(self, own: NodeDef, before: Body) -> Any:
        """What a call may have become: its functions do nothing but fill one table of the graph from a text file."""
        frames = Frames(before.nodes.values(), self._library, [own.name]).frames
        acting = [(frame, node) for frame in frames for node in frame.nodes.values() if node.op not in _QUIET]
        if [node.op for _, node in acting] != ["InitializeTableFromTextFileV2"]:
            return None
        table = _table_given(*acting[0])
        if table is None:
            return None
        waiting = [text for text in own.input if text.startswith("^")]
        node = node_def_pb2.NodeDef(
            name=own.name, op="InitializeTableV2", device=own.device, input=[table.name, *waiting]
        )
        node.attr["Tkey"].type, node.attr["Tval"].type = (table.attr[k].type for k in ("key_dtype", "value_dtype"))
        return node

    def _expect_imports_of_functions(self, before: Body, after: Body, restoring: Collection[str]) -> None:
        """Of each table that a function of the saver imports, the frozen graph may have a node that does."""
        imports = {name for name, node in after.nodes.items() if node.op in _IMPORTS and name not in before.nodes}
        for frame in Frames(before.nodes.values(), self._library, restoring).frames if imports else ():
            for node in frame.nodes.values():
                table = _table_given(frame, node) if node.op == "LookupTableImportV2" else None
                name = before.unused(f"{table.name}/{node.op}") if table is not None else ""
                if table is not None and name in imports:
                    own = node_def_pb2.NodeDef(name=name, op=node.op, input=[table.name])
                    for key in ("Tin", "Tout"):
                        own.attr[key].CopyFrom(node.attr[key])
                    self._expect(own, ("Tin", "Tout"), before)

    def _expect(self, own: NodeDef, attributes: tuple[str, str], before: Body) -> None:
        node = node_def_pb2.NodeDef()
        node.CopyFrom(own)
        names = [before.unused(f"{own.name}/{part}") for part in ("keys", "values")]
        node.input[:] = [own.input[0], *names, *(text for text in own.input if text.startswith("^"))]
        self.contents |= {name: own.attr[key].type for name, key in zip(names, attributes, strict=True)}
        self.expected[own.name] = node
        table = before.nodes.get(before.origin(own.input[0]))
        if table is not None and table.op.startswith("MutableDenseHashTable"):
            self._expect_rows(node, before)

    def _expect_rows(self, initializer: NodeDef, before: Body) -> None:
        """The keys of a dense table come by way of a default, since TensorFlow takes none whose shape is known."""
        name = before.unused(f"{initializer.name}/rows")
        rows = node_def_pb2.NodeDef(name=name, op="PlaceholderWithDefault", input=initializer.input[1:2])
        rows.attr["dtype"].type = initializer.attr["Tin"].type
        rows.attr["shape"].shape.unknown_rank = True
        initializer.input[1] = name
        self.expected[name] = rows


def _table_given(frame: Frame, node: NodeDef) -> Any:
    """The table of the graph whose handle a function's node gets first; None where it gets something else."""
    where, table, output = frame.source(node.input[0]) if node.input else (frame, None, 0)
    return table if table is not None and not where.function and not output and table.op in TABLES else None


def restored_by(meta_graph: MetaGraphDef, before: Body) -> set[str]:
    """The nodes that the saver of a meta graph runs."""
    found: set[str] = set()
    waiting = [before.source(meta_graph.saver_def.restore_op_name)]
    while waiting:
        name = waiting.pop()
        if name in before.nodes and name not in found:
            found.add(name)
            waiting.extend(map(before.source, before.nodes[name].input))
    return found


def is_content(node: NodeDef, dtype: int) -> bool:
    """Whether a NodeDef is a plain constant of a DataType, by itself and on no device of its own."""
    plain = node.op == "Const" and not node.input and not node.device and set(node.attr) == {"dtype", "value"}
    return plain and node.attr["dtype"].type == dtype == node.attr["value"].tensor.dtype
