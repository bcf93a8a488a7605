"""What the strings are that a graph takes: words, keys of a lookup table, serialized examples, images, sounds, numbers.

The op that a string goes into tells. Sources: the ops' definitions in TensorFlow's registry, and
tensorflow/core/example/example.proto.
"""

from collections.abc import Iterable

from permafrost import input_kinds as kinds
from permafrost.graph.dtypes import dtype_name, dtype_of
from permafrost.graph.index import GraphIndex, Use
from permafrost.graph.ops.stateful import TABLE_INITIALIZERS
from permafrost.graph.protos import NodeDef
from permafrost.graph.static import constant, element_count
from permafrost.signature.table_words import Words

_MOST_KEYS = 32
_MOST_NUMBERS = 1 << 20  # in one string
_IMAGES = {"DecodeJpeg", "DecodePng", "DecodeImage", "DecodeBmp", "DecodeAndCropJpeg"}
_PARSERS = {"ParseExample", "ParseExampleV2", "ParseSingleExample"}


def content(index: GraphIndex, uses: Iterable[Use], words: Words | None = None) -> kinds.Content:
    """The content of the strings that are used as `uses` says.

    Args:
      uses: of the strings, the nearest first.
      words: those of tables that no constant of the graph fills.
    Returns words where no op tells more.
    """
    for node, position in uses:
        if node.op in _PARSERS and position == 0:
            return kinds.SerializedExample(_features(index, node))
        if node.op in _IMAGES:
            return kinds.PngImage(node.attr["channels"].i or 3)
        if node.op == "DecodeWav":
            samples = node.attr["desired_samples"].i if "desired_samples" in node.attr else -1
            return kinds.WavSound(samples if samples > 0 else 16000)
        if node.op == "DecodeRaw":
            return kinds.RawBytes(_elements(index, node) * _itemsize(node))
        if node.op == "DecodeCSV" and position == 0:
            return kinds.CsvLine(len(node.attr["OUT_TYPE"].list.type))
        if node.op == "StringToNumber":
            return kinds.DecimalNumber()
        if node.op.startswith("LookupTableFind") and position == 1 and (keys := _keys(index, node, words or {})):
            return kinds.Words(keys)
    return kinds.Words()


def _strings(node: NodeDef | None) -> list[str]:
    """The values of a Const of strings that are UTF-8."""
    if node is None or node.op != "Const":
        return []
    values = []
    for value in node.attr["value"].tensor.string_val:
        try:
            values.append(value.decode("utf-8"))
        except UnicodeDecodeError:
            continue
    return values


def _keys(index: GraphIndex, find: NodeDef, words: Words) -> list[str]:
    """Keys of the table that a LookupTableFind looks into, from what fills it."""
    table = index.source_of(find, 0)
    for name in index.consumers.get(table.name, []) if table is not None else []:
        if index.ops[name] in TABLE_INITIALIZERS:
            return words.get(name) or _strings(index.source_of(index.nodes[name], 1))[:_MOST_KEYS]
    return []


def _features(index: GraphIndex, parser: NodeDef) -> list[kinds.Feature]:
    """The features that a parsing op asks for."""
    dense_types = [dtype_name(number) for number in parser.attr["Tdense"].list.type]
    sparse_types = [dtype_name(number) for number in parser.attr["sparse_types"].list.type]
    if parser.op == "ParseSingleExample":
        dense, sparse = _listed(parser, "dense_keys"), _listed(parser, "sparse_keys")
    elif parser.op == "ParseExampleV2":
        sparse, dense = _strings(index.source_of(parser, 2)), _strings(index.source_of(parser, 3))
    else:
        count = parser.attr["Nsparse"].i
        sparse = [key for at in range(count) for key in _strings(index.source_of(parser, 2 + at))[:1]]
        positions = range(2 + count, 2 + count + parser.attr["Ndense"].i)
        dense = [key for at in positions for key in _strings(index.source_of(parser, at))[:1]]
    shapes = parser.attr["dense_shapes"].list.shape
    # Of a shape that is no tensor's, one number: TensorFlow refuses the op.
    sizes = [element_count(max(1, dimension.size) for dimension in shape.dim) or 1 for shape in shapes]
    features = [kinds.Feature(*found) for found in zip(dense, dense_types, sizes, strict=False)]
    return features + [kinds.Feature(key, dtype, 1) for key, dtype in zip(sparse, sparse_types, strict=False)]


def _listed(node: NodeDef, attribute: str) -> list[str]:
    return [value.decode("utf-8", "replace") for value in node.attr[attribute].list.s]


def _itemsize(decoder: NodeDef) -> int:
    dtype = dtype_of(decoder.attr["out_type"].type)
    return dtype.size or 1 if dtype else 1


def _elements(index: GraphIndex, node: NodeDef) -> int:
    """How many numbers are decoded of one string, by the constant shape that they are given next; else 784."""
    for _ in range(4):
        consumers = index.consumers.get(node.name)
        if not consumers:
            break
        node = index.nodes[consumers[0]]
        target = constant(index.source_of(node, 1)) if node.op == "Reshape" else None
        if target is not None and target.size:
            sizes = (int(size) for size in target.reshape(-1) if size > 0)
            return min(element_count(sizes) or _MOST_NUMBERS, _MOST_NUMBERS)
    return 784
