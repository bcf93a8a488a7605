"""What a SavedModel of TensorFlow 2 fills lookup tables with in functions, as nodes of the graph that do the same.

Its init op calls a function that fills a table from a text file, and its restore function imports into a table what the
checkpoint holds. As nodes of the graph they are what the saver and the loader of TensorFlow 1 run, and are frozen as
these are. What cannot stand in the graph by itself stays where it is.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from permafrost.flow.body import Body, controls
from permafrost.graph.call_frames import Frame, Frames
from permafrost.graph.calls import called_functions
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.loading import INIT_OP_SIGNATURE, init_op
from permafrost.graph.protos import FunctionDef, GraphDef, MetaGraphDef, NodeDef, node_def_pb2, types_pb2
from permafrost.graph.pruning import TABLES
from permafrost.graph.restore_map import Source, restore_op_of, restored_in_function
from permafrost.graph.text_fillings import TextFilling, text_fillings
from permafrost.records import Repair

_IMPORT = "LookupTableImportV2"
_TAKEN = ("key_index", "value_index", "vocab_size", "delimiter", "offset")


@dataclass(frozen=True)
class _Import:
    """A node that imports a table in the function of a frame: the node, its table, what it takes, and that's dtypes."""

    frame: Frame
    node: NodeDef
    table: str
    sources: tuple[Source, Source]

    @property
    def dtypes(self) -> list[int]:
        return [self.node.attr["Tin"].type, self.node.attr["Tout"].type]


def lift(meta_graph: MetaGraphDef) -> list[Repair]:
    """Has the graph of a MetaGraphDef, in place, fill its tables by nodes of its own; returns the repairs.

    Raises Problem (bad_meta_graph) as call_frames.Frames and restore_map.restore_map do.
    """
    if not meta_graph.graph_def.library.function:
        return []
    return [*_lift_text_files(meta_graph), *_lift_imports(meta_graph)]


def _lift_text_files(meta_graph: MetaGraphDef) -> list[Repair]:
    index = GraphIndex(meta_graph.graph_def)
    signatures = (signature for key, signature in meta_graph.signature_def.items() if key != INIT_OP_SIGNATURE)
    fetched = {tensor_name(info.name)[0] for signature in signatures for info in signature.outputs.values()}
    fillings = text_fillings(index, sorted(index.reach([init_op(meta_graph)]) - fetched))
    return [_become_initializer(index.nodes[filling.call], filling) for filling in fillings]


def _become_initializer(call: Any, filling: TextFilling) -> Repair:
    before, kept = call.op, controls(call)
    own = filling.initializer
    call.op = own.op
    call.ClearField("attr")
    for key in _TAKEN:
        if key in own.attr:
            call.attr[key].CopyFrom(own.attr[key])
    call.input[:] = [filling.table, "{}:{}".format(*filling.path).removesuffix(":0"), *kept]
    return Repair(f"{before} -> {own.op}", call.name)


def _lift_imports(meta_graph: MetaGraphDef) -> list[Repair]:
    graph_def, restore_op = meta_graph.graph_def, restore_op_of(meta_graph)
    # The functions of other graphs are frozen as they are, also those that nothing calls.
    if not restore_op or not meta_graph.object_graph_def.nodes:
        return []
    frames = Frames(graph_def.node, graph_def.library, sorted(GraphIndex(graph_def).reach([restore_op])))
    found = list(_imports(frames, tensor_name(meta_graph.saver_def.filename_tensor_name)[0]))
    counts = Counter(each.table for each in found)
    callers = Counter(name for node in _all_nodes(graph_def) for name in called_functions(node))
    functions = {function.signature.name: function for function in graph_def.library.function}
    repairs = []
    for each in found:
        name = each.frame.function
        if counts[each.table] == callers[name] == len(frames.of(name)) == 1:
            _drop(functions[name], each.node.name)
            made = _add_import(meta_graph, each)
            frames.graph.nodes[each.frame.call].input.append(f"^{made}")
            repairs.append(Repair("import out of the restore function", made))
    return repairs


def _imports(frames: Frames, filename: str) -> Iterator[_Import]:
    """What imports whole tensors of the checkpoint, whose name is `filename`'s, into a table of the graph."""
    for frame in frames.frames:
        for node in frame.nodes.values():
            if node.op != _IMPORT or len(node.input) < 3:
                continue
            where, table, output = frame.source(node.input[0])
            sources = [restored_in_function(frame, text, filename) for text in node.input[1:3]]
            keys, values = (source if source and source.start is None else None for source in sources)
            if table is not None and not where.function and not output and table.op in TABLES and keys and values:
                yield _Import(frame, node, table.name, (keys, values))


def _all_nodes(graph_def: GraphDef) -> Iterator[NodeDef]:
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def


def _drop(function: FunctionDef, name: str) -> None:
    """Takes a node that gives nothing out of a function."""
    kept = [node for node in function.node_def if node.name != name]
    for node in kept:
        node.input[:] = [text for text in node.input if text != f"^{name}"]
    results = [result for result, node in function.control_ret.items() if node == name]
    outputs = [output for output in function.signature.control_output if output not in results]
    function.signature.control_output[:] = outputs
    for result in results:
        del function.control_ret[result]
    _set(function.node_def, kept)


def _set(container: Any, nodes: list[NodeDef]) -> None:
    copies = []
    for node in nodes:
        copies.append(node_def_pb2.NodeDef())
        copies[-1].CopyFrom(node)
    del container[:]
    container.extend(copies)


def _add_import(meta_graph: MetaGraphDef, found: _Import) -> str:
    """Adds the node that imports, and what restores for it as a saver of TensorFlow 1 does; returns its name."""
    body = Body(meta_graph.graph_def.node)
    own = body.unused(f"{found.table}/{_IMPORT}")
    names = _strings(body.unused(f"{own}/tensor_names"), [source.key for source in found.sources])
    slices = _strings(body.unused(f"{own}/shape_and_slices"), ["", ""])
    filename = meta_graph.saver_def.filename_tensor_name
    restore = node_def_pb2.NodeDef(name=body.unused(f"{own}/RestoreV2"), op="RestoreV2")
    restore.input.extend([filename.removesuffix(":0"), names.name, slices.name])
    restore.attr["dtypes"].list.type.extend(found.dtypes)
    node = node_def_pb2.NodeDef(name=own, op=_IMPORT, input=[found.table, restore.name, f"{restore.name}:1"])
    for key in ("Tin", "Tout"):
        node.attr[key].CopyFrom(found.node.attr[key])
    meta_graph.graph_def.node.extend([names, slices, restore, node])
    return own


def _strings(name: str, values: list[str]) -> NodeDef:
    node = node_def_pb2.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = node.attr["value"].tensor.dtype = types_pb2.DT_STRING
    node.attr["value"].tensor.tensor_shape.dim.add(size=len(values))
    node.attr["value"].tensor.string_val.extend(value.encode("utf-8", "surrogateescape") for value in values)
    return node
