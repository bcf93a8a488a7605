"""The candidates for outputs: what of a training graph a person could fetch as a result."""

from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.signature.forward import marks
from permafrost.signature.forward.steps import in_frames
from permafrost.signature.ranking.anatomy import Anatomy

# What has no value of its own: shapes, constants, and the ways in and out of loops and branches.
_NO_RESULT = marks.SHAPE_OPS | {
    "Const", "NoOp", "Enter", "RefEnter", "Switch", "RefSwitch", "NextIteration", "RefNextIteration", "LoopCond",
    "ControlTrigger", "Placeholder", "PlaceholderV2", "BroadcastGradientArgs", "Range", "Fill",
}  # fmt: skip
_ARRAY_READS = {
    "TensorArrayGatherV3", "TensorArrayReadV3", "TensorArrayConcatV3", "TensorArrayPack", "TensorArrayUnpack",
    "TensorArrayGather", "TensorArrayRead",
}  # fmt: skip
_LOOKUPS = {"Gather", "GatherV2", "ResourceGather"}


def candidates(anatomy: Anatomy) -> list[str]:
    """The nodes that could be outputs, in graph order.

    These are what depends on weights, on something fed or on random numbers, apart from gradients, savers and
    summaries; and weights that are looked up in, or are those of a graph without layers. What is inside of a loop, or
    of a branch before it comes together, has no value that could be fetched.
    """
    survey = anatomy.survey
    loops, branches = in_frames(anatomy.index)
    return [
        name
        for name, op in anatomy.ops.items()
        if name not in anatomy.side
        and name not in loops
        and (name not in branches or op in ("Merge", "RefMerge"))
        and (_is_product(anatomy, name) if name in survey.variables else _is_result(anatomy, name, op))
    ]


def _is_result(anatomy: Anatomy, name: str, op: str) -> bool:
    survey = anatomy.survey
    if op in _NO_RESULT or op in VARIABLE_OPS or marks.UPDATES.match(op):
        return name in survey.transitions
    if op == "PlaceholderWithDefault" and not anatomy.weight_bits.get(name, 0):
        return False
    if op.startswith("TensorArray") and op not in _ARRAY_READS:
        return False
    bits = anatomy.feed_bits.get(name, 0)
    if name in survey.parameters and not bits and op in ("Identity", "ReadVariableOp", "RefIdentity"):
        return False
    return bool(bits or anatomy.weight_bits.get(name, 0) or name in survey.random)


def _is_product(anatomy: Anatomy, variable: str) -> bool:
    """Whether a weight may be what a graph is there for: a table of embeddings, or one of a graph without layers."""
    consumers, ops = anatomy.index.consumers, anatomy.ops
    reads = consumers.get(variable, [])
    behind = [taker for read in reads for taker in consumers.get(read, ())]
    return not anatomy.joins or any(ops[taker] in _LOOKUPS for taker in [*reads, *behind])
