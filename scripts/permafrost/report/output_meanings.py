"""What could be fetched of a graph beside its outputs: dtype, shape and meaning, as far as the listed ops tell."""

from collections.abc import Mapping

from permafrost.signature.meanings_of_ops import OF_OPS

_PASSING = {"Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "IdentityN", "PreventGradient", "Merge"}
_MOST_PASSED = 8
Node = Mapping[str, str]


def described(output: str, nodes: Mapping[str, Node]) -> dict[str, str]:
    """`dtype`, `shape` and `meaning` of an output; empty what nothing tells.

    Args:
      output: a node, or `node:1` for a further output.
      nodes: the rows of ops.csv, by the node's name.
    """
    name, _, number = output.partition(":")
    place = int(number) if number.isdecimal() and len(number) < 9 else 0
    node = nodes.get(name, {})
    return {
        "dtype": _part(node.get("dtypes", ""), place),
        "shape": _part(node.get("shapes", ""), place),
        "meaning": meaning(name, nodes),
    }


def _part(joined: str, place: int) -> str:
    parts = joined.split("; ")
    return parts[place] if place < len(parts) else ""


def meaning(name: str, nodes: Mapping[str, Node]) -> str:
    """What the values of a node are, by its op type, or by that of the node whose values it hands on."""
    for _ in range(_MOST_PASSED):
        node = nodes.get(name, {})
        op = node.get("type", "")
        if op not in _PASSING:
            return OF_OPS.get(op, "")
        name = node.get("inputs", "").split("; ")[0].partition(":")[0]
    return ""
