"""A graph with what its calls run beside its own nodes, to see what becomes of an input in functions."""

from collections.abc import Iterator

from permafrost.graph.call_frames import Frame, Frames
from permafrost.graph.index import GraphIndex
from permafrost.graph.protos import NodeDef, graph_pb2, node_def_pb2
from permafrost.outcome import Problem


def unfolded(index: GraphIndex) -> GraphIndex:
    """The index of a graph with a copy of each node that a plain call of a function runs, which takes what that takes.

    It is only to be looked at: the calls stay beside the copies. Of a node in a function that has several outputs with
    names, these count from 0 each. The same index where no function is called, or where calls have no end.
    """
    try:
        frames = Frames(index.graph_def.node, index.graph_def.library, list(index.nodes))
    except Problem:
        return index
    if not frames.frames:
        return index
    prefixes = {id(frame): f"{frame.call}/{number}/" for number, frame in enumerate(frames.frames)}
    graph_def = graph_pb2.GraphDef(node=index.graph_def.node)
    for frame in frames.frames:
        for node in frame.nodes.values():
            copy = node_def_pb2.NodeDef(name=prefixes[id(frame)] + node.name, op=node.op)
            copy.input.extend(_inputs(frame, node, prefixes))
            for key, value in node.attr.items():
                copy.attr[key].CopyFrom(value)
            graph_def.node.append(copy)
    return GraphIndex(graph_def)


def _inputs(frame: Frame, node: NodeDef, prefixes: dict[int, str]) -> Iterator[str]:
    for text in node.input:
        where, source, output = frame.source(text, ()) if not text.startswith("^") else (frame, None, 0)
        if source is not None:
            yield f"{prefixes.get(id(where), '')}{source.name}:{output}"
