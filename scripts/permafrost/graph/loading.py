"""What TensorFlow's loader of a SavedModel runs after the restore, and which lookup tables that fills."""

from permafrost.graph.call_frames import Frames
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.protos import MetaGraphDef

# Where a SavedModel names the op that its loader runs (tensorflow/python/saved_model/constants.py), in that order.
INIT_OP_SIGNATURE = "__saved_model_init_op"
_INIT_OP_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")


def init_op(meta_graph: MetaGraphDef) -> str:
    """The node that the loader of a SavedModel runs after the restore; "" where there is none.

    Source: get_init_op in tensorflow/python/saved_model/loader_impl.py.
    """
    if not meta_graph.meta_info_def.tags:
        return ""
    if INIT_OP_SIGNATURE in meta_graph.signature_def:
        outputs = meta_graph.signature_def[INIT_OP_SIGNATURE].outputs
        names = [outputs[INIT_OP_SIGNATURE].name] if INIT_OP_SIGNATURE in outputs else []
    else:
        keys = [key for key in _INIT_OP_COLLECTIONS if key in meta_graph.collection_def]
        names = meta_graph.collection_def[keys[0]].node_list.value if keys else []
    return tensor_name(names[0])[0] if len(names) == 1 else ""


def filling_calls(index: GraphIndex, loader: str, tables: set[str], ops: frozenset[str]) -> set[str]:
    """The calls that the loader runs whose functions fill one of `tables`.

    Args:
      loader: the node that the loader runs, or "".
      tables: the names of the tables' nodes.
      ops: the op types that fill a table, which is their first input.
    """
    frames = Frames(index.graph_def.node, index.graph_def.library, index.reach([loader])) if loader else None
    found = set()
    for frame in frames.frames if frames is not None else ():
        for node in frame.nodes.values():
            if node.op in ops and node.input:
                where, table, _ = frame.source(node.input[0])
                if table is not None and not where.function and table.name in tables:
                    found.add(frame.call)
    return found
