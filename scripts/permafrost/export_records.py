"""The typed records of exports: what a frozen graph became in another format, and what the judge said of that file."""

from typing import Any, ClassVar

from msgspec import UNSET, Struct

from permafrost import layout
from permafrost.input_kinds import Shape
from permafrost.outcome import VERIFIED
from permafrost.records import Control, Record

_LACKING: Any = UNSET

FORMATS = SAVED_MODEL, ONNX, TFLITE = tuple(layout.EXPORTED)
# What a SavedModel is under TensorFlow's own settings, where that does not load it, though sessions do, or has no room.
NOT_LOADED, NOT_RUN = "not loaded", "not run"


class Endpoint(Struct, kw_only=True, omit_defaults=True):
    """An input or an output of an exported file.

    key: what callers say. name: what the file calls it; the key, where the format has signatures. tensor: of the frozen
    graph. source: the tensor that import.json gives inputs by, or that verification.csv gives outputs by.
    dtype: a name such as `float32`. shape: None for an unknown rank, None in it for a dimension that is open.
    guessed: positions of open dimensions for which import.json has a size, since the graph ran on it.
    """

    key: str
    name: str
    tensor: str
    source: str
    dtype: str
    shape: Shape | None
    guessed: list[int] = []

    @property
    def batch_axis(self) -> int | None:
        """The dimension that is the batch: the first open one; others are lengths, or only guessed. None for none."""
        first = next((axis for axis, size in enumerate(self.shape or ()) if size is None), None)
        return None if first in self.guessed else first

    def fixed(self, shape: Shape | None) -> list[int]:
        """The sizes that the file has for those dimensions of `shape`, an input's own, that each trial chooses."""
        if shape is None or self.shape is None or len(shape) != len(self.shape):
            return []
        return [own for own, size in zip(self.shape, shape, strict=True) if size is None and own is not None]


class Signature(Struct, kw_only=True):
    """What an exported file takes and gives, in the order of the model's inputs and outputs.

    hidden: what goes into heads, which the file computes and does not give by itself; the judge looks at it.
    """

    inputs: list[Endpoint]
    outputs: list[Endpoint]
    hidden: list[Endpoint] = []


class ExportRecord(Record, kw_only=True):
    """export_<format>.json: what a frozen graph was exported to, and how.

    frozen_sha256: of frozen_graph.pb. options: what the settings say of this format. versions: of the tools, by name.
    baked: source -> the value that an input always has in the file, as lists; it is no input of the file.
    changes: sentences, one for each change of the graph that was made before the converter got it. way: which of the
    format's ways of conversion it was, as a word. files: path below the model's directory -> SHA-256. bytes: of all of
    them. stamps: path -> size and time of change (ns), by which a file is known again. op, node: what stood in the way,
    where the export was refused; "" where nothing tells. initializers: the nodes that fill tables in a SavedModel whose
    graph was frozen anew, with inputs baked.
    """

    whole: ClassVar[frozenset[str]] = frozenset(
        {"format", "frozen_sha256", "signature", "baked", "files", "bytes", "stamps"}
    )

    format: str = _LACKING
    frozen_sha256: str = _LACKING
    options: dict[str, Any] = _LACKING
    versions: dict[str, str] = _LACKING
    opset: int = _LACKING
    signature: Signature = _LACKING
    baked: dict[str, Any] = _LACKING
    changes: list[str] = _LACKING
    way: str = _LACKING
    files: dict[str, str] = _LACKING
    bytes: int = _LACKING
    stamps: dict[str, tuple[int, int]] = _LACKING
    op: str = _LACKING
    node: str = _LACKING
    initializers: list[str] = _LACKING


class ExportVerdict(Record, kw_only=True):
    """judged_<format>.json: what the judge measured of an exported file, against the checkpoint.

    match: bitwise, tolerance, or "". max_abs_diff, tolerance_used: the largest. first_tensor: the first output that
    differs, or where it begins. usual_match, usual_max_abs_diff: the same under the settings that the format's runtime
    has by itself, where the judge's are others, or NOT_LOADED or NOT_RUN. control: of the weight that was changed in
    the file.
    """

    good: ClassVar[str] = VERIFIED
    whole: ClassVar[frozenset[str]] = frozenset({"format", "match", "trials", "max_abs_diff"})

    format: str = _LACKING
    environment: dict[str, Any] = _LACKING
    match: str = _LACKING
    trials: int = _LACKING
    batches: list[int] = _LACKING
    max_abs_diff: float | None = _LACKING
    tolerance_used: float | None = _LACKING
    first_tensor: str = _LACKING
    usual_match: str = _LACKING
    usual_max_abs_diff: float | None = _LACKING
    control: Control = _LACKING
