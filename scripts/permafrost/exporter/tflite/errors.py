"""What TensorFlow Lite's converter says of what it cannot convert: by which op, and which node of the graph."""

import re
from typing import Any

from permafrost.exporter.prepared import Refused

# 'tf.CTCGreedyDecoder' op is neither a custom op nor a flex op: what the op is, and where it comes from, are told by
# MLIR's locations, such as loc(callsite(fused["Op:", "node@function"] at fused["While:", "loop"])).
_LACKING = re.compile(r"'(?:tf|tfl)\.(?P<op>[\w.]+)' op is neither a custom op nor a flex op")
_OP = re.compile(r"'(?:tf|tfl)\.(?P<op>[\w.]+)' op\b")
_LOCATION = re.compile(r'fused\["(?P<op>[^":]*):"(?:, "(?P<node>(?:[^"\\]|\\.)*)")?')
_NODE = re.compile(r'loc\((?:callsite\()*"(?P<node>(?:[^"\\]|\\.)*)"')
_KINDS = re.compile(r"^(?:TF Select|Custom) ops: (?P<ops>.+)$", re.MULTILINE)
_NOISE = re.compile(r"^<unknown>:\d+: |^(?:error|note): |\bloc\((?:[^()]|\([^()]*\))*\): ?")
_MOST = 300  # letters of a sentence


def refused(error: Exception) -> Refused:
    """The refusal that an error of the converter stands for: unsupported_op where it names an op, conversion_failed."""
    text = str(error)
    line = next((line for line in text.splitlines() if _LACKING.search(line)), "")
    if line:
        op, node = _place(line)
        what = f"node {node!r} is a {op}" if node else f"the graph has a {op}"
        return Refused("unsupported_op", f"{what}, which TensorFlow Lite has no built-in op for", op, node)
    if named := _KINDS.search(text):
        op = named["ops"].split(",")[0].strip()
        return Refused("unsupported_op", f"TensorFlow Lite has no built-in op for {op}", op)
    return _failed(text)


def _failed(text: str) -> Refused:
    lines = [line for line in text.splitlines() if line.strip()] or ["it says nothing"]
    line = next((line for line in lines if "error:" in line), lines[0])
    op, node = _place(line)
    said = _sentence(line)
    where = f"node {node!r}: " if node else ""
    cause = "unsupported_op" if op else "conversion_failed"
    return Refused(cause, f"TensorFlow Lite's converter fails: {where}{said}", op, node)


def _place(line: str) -> tuple[str, str]:
    """The op and the node that a line of an error names; "" for what it does not."""
    op = found["op"] if (found := _OP.search(line)) else ""
    places = list(_LOCATION.finditer(line))
    own = next((place for place in places if place["op"] == op), places[0] if places else None)
    node = own["node"] if own is not None else found["node"] if (found := _NODE.search(line)) else ""
    # What a function's body was called follows its nodes' names.
    return op or (own["op"] if own is not None else ""), (node or "").rpartition("@")[0] or (node or "")


def _sentence(line: str) -> str:
    before: Any = None
    while before != line:
        before, line = line, _NOISE.sub("", line).strip()
    return line[:_MOST]
