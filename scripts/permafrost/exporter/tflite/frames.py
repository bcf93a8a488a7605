"""Which nodes run in the frame of a while loop."""

from permafrost.graph.index import GraphIndex, in_order


def in_loops(index: GraphIndex) -> set[str]:
    """The nodes that run in the frame of a while loop."""
    depths: dict[str, int] = {}
    for name in in_order({name: set(_sources(index, name)) for name in index.nodes}):
        before = max((depths[source] for source in _sources(index, name)), default=0)
        depths[name] = before + {"Enter": 1, "Exit": -1}.get(index.ops[name], 0)
    return {name for name in index.nodes if depths.get(name, 1) > 0}


def _sources(index: GraphIndex, name: str) -> list[str]:
    """What a node waits for in the first round of a loop."""
    is_merge = index.ops[name] == "Merge"
    return [
        source
        for source in index.sources[name]
        if source in index.ops and not (is_merge and index.ops[source] == "NextIteration")
    ]
