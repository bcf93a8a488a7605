"""Files that hold graphs: what a SavedModel's are called, and how large one may be."""

from permafrost.outcome import Problem

SAVED_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")
LARGEST_GRAPH = (1 << 31) - 1  # bytes; no protocol buffer has more


def no_graph_of(path: str, size: int) -> Problem | None:
    """The problem (bad_meta_graph) of a file that is too large, in bytes, for a graph to be in it, or None."""
    if size <= LARGEST_GRAPH:
        return None
    why = f"{path} is no meta graph: it has {size} bytes, and a protocol buffer has less than 2 GiB"
    return Problem("bad_meta_graph", why)
