"""Digests of the nodes of a graph, by which two files are told to hold the same graph.

They are the same for what TensorFlow writes differently from file to file, though it computes the same: shapes that it
inferred, marks of its Python side, and the names of functions, which a counter makes.
"""

import hashlib
from typing import Any

from permafrost.graph.protos import FunctionDef, GraphDef, NodeDef

# What it inferred; and that Python code gave a node control inputs (Graph.control_dependencies).
_MARKS = ("_output_shapes", "_has_manual_control_dependencies")
_DEEPEST = 50  # functions that call each other in turn; beyond it their names count


def node_digests(graph_def: GraphDef) -> dict[str, bytes]:
    """Node name -> a digest of the node with the functions that it calls, for each node of a GraphDef."""
    functions = _Functions(graph_def)
    return {node.name: functions.digest_of_node(node, 0) for node in graph_def.node}


class _Functions:
    """The functions of a graph, and digests of them."""

    def __init__(self, graph_def: GraphDef):
        self._functions = {function.signature.name: function for function in graph_def.library.function}
        self._known: dict[str, bytes] = {}

    def digest_of_node(self, node: NodeDef, depth: int) -> bytes:
        own = NodeDef()
        own.CopyFrom(node)
        for mark in _MARKS:
            own.attr.pop(mark, None)
        bodies = []
        if own.op in self._functions:
            bodies.append(self._digest_of(own.op, depth))
            own.op = ""
        for key in sorted(own.attr):
            for func in (own.attr[key].func, *own.attr[key].list.func):
                if func.name in self._functions:
                    bodies.append(self._digest_of(func.name, depth))
                    func.name = ""
        return hashlib.sha256(b"".join([_digest(own), *bodies])).digest()

    def _digest_of(self, name: str, depth: int) -> bytes:
        """The digest of a function but for its name; that of the name where functions call each other in a ring."""
        if name not in self._known:
            self._known[name] = hashlib.sha256(name.encode()).digest()
            if depth < _DEEPEST:
                self._known[name] = self._digest_of_function(self._functions[name], depth + 1)
        return self._known[name]

    def _digest_of_function(self, function: FunctionDef, depth: int) -> bytes:
        nodes = [self.digest_of_node(node, depth) for node in function.node_def]
        own = FunctionDef()
        own.CopyFrom(function)
        own.ClearField("node_def")
        own.signature.name = ""
        return hashlib.sha256(b"".join([_digest(own), *nodes])).digest()


def _digest(message: Any) -> bytes:
    return hashlib.sha256(message.SerializeToString(deterministic=True)).digest()
