"""What is fed to an input of a model: one type for each kind, which the key `kind` of its JSON tells."""

from typing import Any, ClassVar, Literal, NamedTuple

from msgspec import UNSET, Struct, UnsetType

Shape = list[int | None]  # None for a dimension that each trial chooses


class _Described(Struct, frozen=True, tag_field="kind"):
    """What the descriptions of all kinds have.

    dtype: a name such as `float32` or `string`. shape: None where nothing tells it, or where it is that of the value.
    why: what this was made of, for reports. open: the positions in `shape` that are no more than a guess, or `rank`;
    UNSET where the settings say all.
    """

    dtype: str
    shape: Shape | None
    why: str
    open: list[int] | Literal["rank"] | UnsetType = UNSET


class Uniform(_Described, frozen=True, kw_only=True, tag="uniform"):
    """Floats from `low` to below `high`; complex numbers have both parts of these."""

    low: int | float
    high: int | float


class OneHot(_Described, frozen=True, tag="one_hot"):
    """Floats that tell one of several: along the last dimension one of them is 1, and the others 0."""


class State(_Described, frozen=True, tag="state"):
    """The state of a recurrent cell: floats from -1 to 1; with an odd seed zeros, as before the first step."""


class Integers(_Described, frozen=True, kw_only=True, tag="integers"):
    """Integers from `low` to below `high`, which is None where they go up to the dimension that the trial chooses."""

    low: int
    high: int | None


class Value(_Described, frozen=True, kw_only=True, tag="value"):
    """A value as the settings write one, a scalar or lists. It is spread over `shape`, or fed as it is without one."""

    value: Any


class File(_Described, frozen=True, kw_only=True, tag="file"):
    """An array of the .npz file at the path `file`; key: its name there, None for the input's own."""

    file: str
    key: str | None


class _PartOfSparse(_Described, frozen=True, kw_only=True):
    """A part of a sparse tensor.

    size: the dense shape. low, high: the range of its numbers if it were an input by itself, UNSET where it would have
    none; what is fed does not depend on them.
    """

    size: Shape
    low: int | float | UnsetType = UNSET
    high: int | float | None | UnsetType = UNSET


class Indices(_PartOfSparse, frozen=True, kw_only=True, tag="indices"):
    """The indices of a sparse tensor, [n, rank], with one entry in each row."""


class Sizes(_PartOfSparse, frozen=True, kw_only=True, tag="sizes"):
    """The dense shape of a sparse tensor, [rank]; or a shape that an op takes."""


class RowSplits(_Described, frozen=True, tag="row_splits"):
    """Where the rows of a ragged tensor begin and end: one more integer than rows, from 0 to how many values there are.

    There are as many rows as values, which is the dimension that the trial chooses; some of them may be empty.
    """


class _Content(Struct, frozen=True, tag_field="form"):
    """What strings say. why: what they are called in reports."""

    why: ClassVar[str]


class Words(_Content, frozen=True, tag="words", omit_defaults=True):
    """Some of these words; of a few usual ones where there are none."""

    why: ClassVar[str] = "words"

    words: list[str] = []


class DecimalNumber(_Content, frozen=True, tag="number"):
    """A decimal number of one digit."""

    why: ClassVar[str] = "numbers as text"


class CsvLine(_Content, frozen=True, tag="csv"):
    """A line of comma-separated numbers; fields: how many."""

    why: ClassVar[str] = "lines of numbers"

    fields: int


class RawBytes(_Content, frozen=True, tag="raw"):
    """What DecodeRaw decodes; bytes: how many."""

    why: ClassVar[str] = "raw bytes"

    bytes: int


class WavSound(_Content, frozen=True, tag="wav"):
    """A WAV file of 16-bit mono PCM at 16 kHz; samples: how many."""

    why: ClassVar[str] = "WAV sounds"

    samples: int


class PngImage(_Content, frozen=True, tag="image"):
    """A PNG file of small size; channels: 1 to 4."""

    why: ClassVar[str] = "PNG images"

    channels: int


class Feature(NamedTuple):
    """A feature that a parser of tf.train.Examples asks for; dtype: float32, int64 or string. size: how many values."""

    key: str
    dtype: str
    size: int


class SerializedExample(_Content, frozen=True, tag="example"):
    """A serialized tf.train.Example with these features."""

    why: ClassVar[str] = "serialized tf.train.Examples"

    features: list[Feature]


Content = Words | DecimalNumber | CsvLine | RawBytes | WavSound | PngImage | SerializedExample


class Strings(_Described, frozen=True, kw_only=True, tag="strings"):
    """Strings that are made, each by itself."""

    content: Content


class Default(_Described, frozen=True, tag="default"):
    """Nothing is fed: the graph has a default."""


Fed = Uniform | OneHot | State | Integers | Value | File | Indices | Sizes | RowSplits | Strings
Input = Fed | Default
Inputs = dict[str, Input]  # by the tensor's name, such as `x:0`
