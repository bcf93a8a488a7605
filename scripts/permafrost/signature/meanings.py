"""What a person makes of an output's numbers, by the op that gives them: probabilities, scores, an index, a picture."""

from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.protos import NodeDef
from permafrost.input_kinds import Shape
from permafrost.signature.meanings_of_ops import OF_OPS

_OF_SEVERAL = {
    "TopK": ("the largest values", "the indices of the largest values"),
    "TopKV2": ("the largest values", "the indices of the largest values"),
    "CTCGreedyDecoder": (
        *("the places of the decoded labels", "the decoded labels"),
        *("the dense shape of the decoded labels", "the log-probability of each sequence"),
    ),
}
_LINEAR = {"MatMul", "BatchMatMul", "BatchMatMulV2", "BiasAdd", "Add", "AddV2", "Conv2D", "Conv3D"}
_CUTS = {"StridedSlice", "Slice"}
_HANDS_ON = _CUTS | {
    "Identity",
    "Cast",
    "Squeeze",
    "Reshape",
    "ExpandDims",
    "Transpose",
    "StopGradient",
    "CheckNumerics",
}
_CLIPS = {"ClipByValue", "Minimum", "Maximum"}


def meaning(index: GraphIndex, output: str, dtype: str = "", shape: Shape | None = None) -> str:
    """What an output's values are, as a few words; "" where nothing tells.

    Args:
      output: a node or a tensor of the graph.
      dtype, shape: of its value, where they are known.
    """
    name, position = tensor_name(output)
    (name, position), passed = index.upstream((name, position), _HANDS_ON)
    node = index.nodes.get(name)
    if node is None:
        return ""
    several = _OF_SEVERAL.get(node.op, ())
    found = several[position] if position < len(several) else OF_OPS.get(node.op, "")
    cut = "a part of: " if found and any(each.op in _CUTS for each in passed) else ""
    return cut + found or _unbounded(node, dtype, shape)


def _unbounded(node: NodeDef, dtype: str, shape: Shape | None) -> str:
    """What a layer without an activation gives."""
    if dtype == "string":
        return "text"
    if dtype == "bool":
        return "true or false"
    if node.op in _CLIPS:
        return "numbers that are clipped"
    if node.op not in _LINEAR or not shape or not dtype.startswith(("float", "half", "bfloat", "double")):
        return ""
    if len(shape) == 4:
        return "a picture or a map of features, without bounds"
    count = shape[-1]
    several = f"{count} numbers" if count and count > 1 else "a number" if count == 1 else "numbers"
    return f"{several} without bounds, such as logits or a regression"
