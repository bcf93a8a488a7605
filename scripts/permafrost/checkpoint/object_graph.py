"""Object-based checkpoints, whose keys are paths of Python objects: what the variables were called in their graph."""

from google.protobuf.message import DecodeError

from permafrost.checkpoint.reader import OBJECT_GRAPH, Checkpoint
from permafrost.graph.protos import trackable_object_graph_pb2
from permafrost.outcome import Problem


def keys_by_name(checkpoint: Checkpoint) -> dict[str, str]:
    """Name of a variable -> the key of its tensor; empty for a checkpoint that is not object-based.

    By this a Saver of TensorFlow 1 restores such a checkpoint, where it lacks the keys that the Saver goes by
    (object_graph_key_mapping in tensorflow/python/training/saver.py).
    Raises Problem (corrupt) for an object graph that cannot be parsed, and as Checkpoint.read_strings does.
    """
    if OBJECT_GRAPH not in checkpoint.tensors:
        return {}
    content = b"".join(checkpoint.read_strings(OBJECT_GRAPH)[:1])
    try:
        objects = trackable_object_graph_pb2.TrackableObjectGraph.FromString(content)
    except DecodeError as error:
        raise Problem("corrupt", f"{checkpoint.prefix} has an object graph that cannot be parsed") from error
    return {saved.full_name: saved.checkpoint_key for node in objects.nodes for saved in node.attributes}
