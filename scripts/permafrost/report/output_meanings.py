"""What an output means to whoever fetches it, as far as the op that computes it tells: its dtype, shape and values.

What each op gives is in TensorFlow's op definitions (tensorflow/core/api_def/base_api).
"""

from collections.abc import Mapping

_PASSING = {"Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "IdentityN", "PreventGradient", "Merge"}
_MOST_PASSED = 8
_MEANINGS = {
    "Softmax": "probabilities that add up to 1 over the last axis",
    "LogSoftmax": "logarithms of probabilities over the last axis",
    "Sigmoid": "from 0 to 1 each, by itself a probability",
    "Tanh": "from -1 to 1",
    "Relu": "from 0 up",
    "Relu6": "from 0 to 6",
    "Softplus": "above 0",
    "ArgMax": "the place of the largest value",
    "ArgMin": "the place of the smallest value",
    "TopKV2": "the largest values, and their places",
    "InTopK": "whether the class is among the likeliest",
    "InTopKV2": "whether the class is among the likeliest",
    "OneHot": "one 1 among zeros",
    "L2Loss": "a loss",
    "SoftmaxCrossEntropyWithLogits": "a loss for each example",
    "SparseSoftmaxCrossEntropyWithLogits": "a loss for each example",
    "CTCGreedyDecoder": "decoded sequences, as a sparse tensor",
    "CTCBeamSearchDecoder": "decoded sequences, as a sparse tensor",
    "NonMaxSuppressionV3": "which boxes are kept",
    "LookupTableFindV2": "what a table has for a key",
    "LookupTableFind": "what a table has for a key",
    "StringJoin": "text",
    "AsString": "text",
    "EncodePng": "an image, as the bytes of a PNG file",
    "EncodeJpeg": "an image, as the bytes of a JPEG file",
    "BiasAdd": "numbers without a limit, such as logits",
    "MatMul": "numbers without a limit, such as logits",
    "Conv2D": "a map of numbers without a limit",
    "Multinomial": "classes, drawn at random",
    "RandomUniform": "drawn at random",
    "RandomStandardNormal": "drawn at random",
    "Equal": "yes or no",
    "Greater": "yes or no",
    "Less": "yes or no",
    "GreaterEqual": "yes or no",
    "LessEqual": "yes or no",
}

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
            return _MEANINGS.get(op, "")
        name = node.get("inputs", "").split("; ")[0].partition(":")[0]
    return ""
