"""Meta graphs: reading `.meta` files, binary or text, and walking the graph that they hold."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

from google.protobuf.message import DecodeError

from permafrost.contract import Problem
from permafrost.graph_size import no_graph_of
from permafrost.protos import meta_graph_pb2

VARIABLE_OPS = ("Variable", "VariableV2", "VarHandleOp")

_MERGES, _NEXT_ITERATIONS = ("Merge", "RefMerge"), ("NextIteration", "RefNextIteration")
_LFS_POINTER = b"version https://git-lfs"
_MOST_DIGITS = 9  # TensorFlow counts outputs in 32 bits, and wraps around beyond them


def read_meta_graph(path: str | Path):
    """The MetaGraphDef in the file at `path`, which is a binary or a text protocol buffer.

    Raises Problem: unreadable, lfs_pointer, truncated (an empty file), or bad_meta_graph for anything that is not
    a meta graph with at least one node.
    """
    content = content_of(path)
    meta_graph = _parse_binary(content) or _parse_text(content)
    if meta_graph is None:
        raise Problem("bad_meta_graph", f"{path} is not a meta graph, or is cut off ({len(content)} bytes)")
    return checked(meta_graph, path)


def content_of(path: str | Path) -> bytes:
    """The content of the file at `path`, which holds a graph.

    Raises Problem: unreadable, truncated, lfs_pointer, or bad_meta_graph for one too large for a protocol buffer, which
    is not read.
    """
    try:
        if too_large := no_graph_of(str(path), os.stat(path).st_size):
            raise too_large
        content = Path(path).read_bytes()
    except OSError as error:
        raise Problem("unreadable", f"{path}: {error.strerror}") from error
    if not content:
        raise Problem("truncated", f"{path} is empty")
    if content.startswith(_LFS_POINTER):
        raise Problem("lfs_pointer", f"{path} is a Git LFS pointer, not the meta graph itself")
    return content


def checked(meta_graph, path: str | Path):
    """`meta_graph`, whose nodes all have a name of their own and an op; raises Problem (bad_meta_graph) otherwise."""
    names = set()
    for node in meta_graph.graph_def.node:
        if not node.name or not node.op or node.name in names:
            raise Problem("bad_meta_graph", f"{path} has a node without name or op, or the name {node.name!r} twice")
        names.add(node.name)
    return meta_graph


def _parse_binary(content: bytes):
    meta_graph = meta_graph_pb2.MetaGraphDef()
    try:
        meta_graph.ParseFromString(content)
    except DecodeError:
        return None
    return meta_graph if meta_graph.graph_def.node else None


def _parse_text(content: bytes):
    # Parsing text takes seconds for large files, so a look at the first bytes comes before it.
    if not content.lstrip()[:1].isalpha() and not content.lstrip().startswith(b"#"):
        return None
    from google.protobuf import text_format  # Text is rare, and this takes long to load.

    meta_graph = meta_graph_pb2.MetaGraphDef()
    try:
        text_format.Parse(content.decode("utf-8"), meta_graph)
    except (text_format.ParseError, UnicodeDecodeError, ValueError, RecursionError):
        return None
    return meta_graph if meta_graph.graph_def.node else None


def tensor_name(name: str) -> tuple[str, int]:
    """Splits a NodeDef input or a tensor name into node name and output index: `a:1` is (`a`, 1), `a` is (`a`, 0).

    What does not end in a colon and digits, with a name before them, is a name as a whole; so is what ends in more
    digits than the index of an output has. See ParseTensorName in tensorflow/core/graph/tensor_id.cc.
    """
    node, _, index = name.rpartition(":")
    if node and len(index) <= _MOST_DIGITS and index.isascii() and index.isdigit():
        return node, int(index)
    return name, 0


def data_inputs(node) -> list[tuple[str, int]]:
    """The data inputs of a NodeDef as (node name, output index), in order."""
    return _data(node.input)


def _data(texts: Iterable[str]) -> list[tuple[str, int]]:
    return [tensor_name(text) for text in texts if text[:1] != "^"]


class GraphIndex:
    """A GraphDef's nodes by name, with their producers and consumers. The GraphDef must not change meanwhile.

    What a walk over the graph asks of each node is read once, into Python's own types: protocol buffers are slow.
    """

    def __init__(self, graph_def):
        self.graph_def = graph_def
        self.nodes = {node.name: node for node in graph_def.node}

    def of(self, graph_def) -> "GraphIndex":
        """The index of `graph_def`, which is this one where the GraphDef is its own."""
        return self if graph_def is self.graph_def else GraphIndex(graph_def)

    @cached_property
    def ops(self) -> dict[str, str]:
        """Node name -> op, in graph order."""
        return {name: node.op for name, node in self.nodes.items()}

    @cached_property
    def _texts(self) -> dict[str, list[str]]:
        return {name: list(node.input) for name, node in self.nodes.items()}

    @cached_property
    def inputs(self) -> dict[str, list[tuple[str, int]]]:
        """Node name -> its data inputs as (node name, output index), in order; not to be changed."""
        return {name: _data(texts) for name, texts in self._texts.items()}

    @cached_property
    def controls(self) -> dict[str, list[str]]:
        """Node name -> the names of the nodes that it has as control inputs; not to be changed."""
        return {name: [text[1:] for text in texts if text[:1] == "^"] for name, texts in self._texts.items()}

    @cached_property
    def sources(self) -> dict[str, list[str]]:
        """Node name -> the names of the nodes that it takes from, by data inputs and then by control inputs."""
        controls = self.controls
        return {name: [source for source, _ in inputs] + controls[name] for name, inputs in self.inputs.items()}

    @cached_property
    def consumers(self) -> dict[str, list[str]]:
        """Node name -> the names of the nodes that take one of its outputs as data, in graph order."""
        consumers = defaultdict(list)
        for name, inputs in self.inputs.items():
            for source in dict.fromkeys([source for source, _ in inputs]):
                consumers[source].append(name)
        return consumers

    @cached_property
    def uses(self) -> dict:
        """Tensor (node name, output index) -> (NodeDef, position) for each data input that takes it, in graph order."""
        uses = defaultdict(list)
        for name, inputs in self.inputs.items():
            for position, tensor in enumerate(inputs):
                uses[tensor].append((self.nodes[name], position))
        return uses

    @cached_property
    def _used(self) -> dict:
        used = defaultdict(set)
        for name, output in self.uses:
            used[name].add(output)
        return used

    def inputs_of(self, node) -> list[tuple[str, int]]:
        """The data inputs of a NodeDef as (node name, output index), in order; not to be changed."""
        name = node.name
        return self.inputs[name] if self.nodes.get(name) is node else data_inputs(node)

    def source_of(self, node, position: int):
        """The NodeDef whose output is the data input of `node` at `position`; None where there is none."""
        sources = self.inputs_of(node)
        return self.nodes.get(sources[position][0]) if position < len(sources) else None

    def used_outputs(self, name: str) -> set[int]:
        """The outputs of a node that others take as data."""
        return self._used.get(name, set())

    def reach(self, names: Iterable[str], also: Callable[[object], Iterable[str]] | None = None) -> set[str]:
        """The nodes from which one of `names` can be reached over data and control inputs, `names` included.

        `also` gives further nodes that a NodeDef needs. Names that the graph lacks are left out.
        """
        reached, waiting, sources = set(), list(names), self.sources
        while waiting:
            name = waiting.pop()
            if name in reached or name not in sources:
                continue
            reached.add(name)
            waiting += sources[name]
            if also:
                waiting += also(self.nodes[name])
        return reached


def missing_input(index: GraphIndex, names: Iterable[str]) -> tuple[str, str] | None:
    """The first of the nodes `names` that takes from a node which the graph lacks, and the name of that; or None."""
    for name in names:
        for source in index.sources[name]:
            if source not in index.nodes:
                return name, source
    return None


def node_in_cycle(index: GraphIndex, names: Iterable[str]) -> str | None:
    """One of the nodes `names` that depends on itself, by way of others of them; None where there is none.

    The way from a NextIteration to a Merge is how a while loop goes round, and does not count; see InitFromEdges in
    tensorflow/core/common_runtime/graph_constructor.cc.
    """
    waiting = dict.fromkeys(names)
    consumers = defaultdict(list)
    for name in waiting:
        sources = waiting.keys() & index.sources[name]
        if index.ops[name] in _MERGES:
            sources = {source for source in sources if index.ops[source] not in _NEXT_ITERATIONS}
        waiting[name] = sources
        for source in sources:
            consumers[source].append(name)
    ready = [name for name, sources in waiting.items() if not sources]
    while ready:
        name = ready.pop()
        del waiting[name]
        for consumer in consumers[name]:
            waiting[consumer].discard(name)
            if not waiting[consumer]:
                ready.append(consumer)
    if not waiting:
        return None
    # What is left is on a cycle or behind one: following the inputs leads into it.
    name, seen = min(waiting), set()
    while name not in seen:
        seen.add(name)
        name = min(waiting[name])
    return name


def recursive_function(functions: list) -> str | None:
    """The name of one of the FunctionDefs that calls itself, by way of others of them; None where there is none.

    TensorFlow has no recursion, and dies of it.
    """
    names = {function.signature.name for function in functions}
    waiting, callers = {}, defaultdict(list)
    for function in functions:
        called = names.intersection(name for node in function.node_def for name in called_functions(node))
        waiting[function.signature.name] = called
        for name in called:
            callers[name].append(function.signature.name)
    ready = [name for name, called in waiting.items() if not called]
    for name in ready:
        del waiting[name]
        for caller in callers[name]:
            waiting[caller].discard(name)
            if not waiting[caller]:
                ready.append(caller)
    return min(waiting, default=None)


def called_functions(node) -> list[str]:
    """The names by which a NodeDef may call functions: in its attributes, however deep, or as its op."""
    return [node.op, *(name for attribute in node.attr.values() for name in functions_in(attribute))]


def functions_in(value) -> list[str]:
    """Names of the functions in an AttrValue, those that are arguments of other functions included."""
    waiting = [value.func] if value.HasField("func") else list(value.list.func)
    names = []
    while waiting:
        function = waiting.pop()
        names.append(function.name)
        for argument in function.attr.values():
            waiting.extend([argument.func] if argument.HasField("func") else argument.list.func)
    return names


def implied_functions(function, gradients: dict[str, str]) -> list[str]:
    """Names of the functions that a FunctionDef may call though no node of it names them.

    These are the defaults of its attributes, which nodes may call, and its gradient.
    Args:
      gradients: function -> its gradient, as the library has it.
    """
    defaults = [name for attribute in function.signature.attr for name in functions_in(attribute.default_value)]
    return [*defaults, *filter(None, [gradients.get(function.signature.name, "")])]


def producer_ops(meta_graph):
    """The OpList of the TensorFlow that wrote a meta graph, for the ops in it; None where it is not there."""
    info = meta_graph.meta_info_def
    return info.stripped_op_list if info.HasField("stripped_op_list") else None


def resource_name(variable) -> tuple[bool, str, str]:
    """What tells the memory of a variable's NodeDef: two nodes for which it is the same are one variable.

    Source: VariableV2's kernel takes its node's name where it has no shared_name, VarHandleOp's the shared_name alone
    (variable_ops.cc and resource_variable_ops.cc in tensorflow/core/kernels); the one kind does not see the other.
    """
    container, name = (variable.attr[key].s.decode("utf-8", "replace") for key in ("container", "shared_name"))
    container = "" if container == "localhost" else container  # what a session takes where a node has none
    is_handle = variable.op == "VarHandleOp"
    return is_handle, container, name if is_handle else name or variable.name


def static_shape(node) -> tuple[int, ...] | None:
    """A variable's or placeholder's `shape` attribute; unknown dimensions are -1, an unknown rank is None."""
    if "shape" not in node.attr or node.attr["shape"].shape.unknown_rank:
        return None
    return tuple(dimension.size for dimension in node.attr["shape"].shape.dim)


def needed_functions(nodes: Iterable, library) -> list:
    """The FunctionDefs of `library` that the NodeDefs `nodes` call, one by way of another too, in library order."""
    functions = {function.signature.name: function for function in library.function}
    gradients = {gradient.function_name: gradient.gradient_func for gradient in library.gradient}
    needed: set[str] = set()
    waiting = [name for node in nodes for name in called_functions(node)] if functions else []
    while waiting:
        name = waiting.pop()
        if name in functions and name not in needed:
            needed.add(name)
            waiting += implied_functions(functions[name], gradients)
            waiting += [called for node in functions[name].node_def for called in called_functions(node)]
    return [function for name, function in functions.items() if name in needed]
