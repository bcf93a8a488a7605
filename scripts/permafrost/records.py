"""The typed records: what the JSON files of the stages say, key by key.

What a stage did not come to find is UNSET, and its key is left out of the file: the record of a stage that failed half
way has what was found before. Keys of a file that a type does not know are passed over.
"""

from typing import Any, ClassVar, TypeVar

from msgspec import UNSET, Struct

from permafrost.input_kinds import Inputs, Shape
from permafrost.model import Defect, Graph
from permafrost.outcome import FAILED, OK, TRANSIENT, VERIFIED, Problem

INITIAL = "initial value of a variable that is not saved"  # a repair
FEW_WEIGHTS = 0.5  # the share of the trained weights below which outputs reach few of them

# Typed as what it stands in for: who reads a field knows, from the record's status, that it was found.
_LACKING: Any = UNSET

T = TypeVar("T")
D = TypeVar("D")


class Outcome(Struct, kw_only=True):
    """How a stage ended; where it went wrong, `stage` says in which stage, and `cause`, `message` and `hint` say what.

    transient: whether the fault is the machine's, so that the next run may do better.
    """

    status: str
    transient: bool
    stage: str
    cause: str
    message: str
    hint: str


class Timing(Struct):
    """What a stage took: wall time (s), CPU time (s) and peak memory (MiB)."""

    stage: str
    seconds: float
    cpu_seconds: float
    peak_mb: float


class Record(Outcome, kw_only=True):
    """What all records have: how the stage ended, whose record it is, and the token of its attempt if it has one."""

    good: ClassVar[str] = OK  # the status of a record in which all is to be found that `whole` names
    whole: ClassVar[frozenset[str]] = frozenset()

    model: str = _LACKING
    timing: Timing = _LACKING
    attempt: str = _LACKING

    def end(self, outcome: Outcome) -> None:
        """Takes over how the stage ended. A fault of the machine that was found before stays one."""
        self.transient = self.transient or outcome.transient
        self.status, self.stage = outcome.status, outcome.stage
        self.cause, self.message, self.hint = outcome.cause, outcome.message, outcome.hint

    def take_over(self, found: "Record") -> None:
        """Takes over what another record of the same type says to have found, and not how that ended."""
        for field in self.__struct_fields__:
            if field not in Record.__struct_fields__ and (value := getattr(found, field)) is not UNSET:
                setattr(self, field, value)


class Variable(Struct, kw_only=True):
    """A variable node of a meta graph, and the part of the checkpoint that is its value.

    dtype, dtype_enum: the name and the number of its DataType. shape: None where nothing tells it. key: the tensor's in
    the checkpoint, "" for a variable that is not restored. box: [start, extent] of the part of that tensor, None for
    all of it; `slice` is the same as text. bytes: of the value, None where there is none. restored: the key that the
    graph's own saver restores, where `key` is that of the variable's average or of its Python object. casts: what the
    restore casts the tensor by, one after the other, as pairs of DataTypes (from, to). defect: why a variable without a
    key may not be frozen, neither from the checkpoint nor with its initial value.
    """

    variable: str
    op: str
    dtype: str
    dtype_enum: int
    shape: list[int] | None
    bytes: int | None = None
    key: str = ""
    slice: str = ""
    box: list[list[int]] | None = None
    restored: str = _LACKING
    casts: list[tuple[int, int]] = _LACKING
    defect: Defect = _LACKING


class Vocabulary(Struct, kw_only=True):
    """A text file that fills a lookup table of a meta graph (graph.vocabularies).

    initializer: the node that reads it. name: of the file, as the graph has it. path: where it is, without links; ""
    where it is nowhere that may be read, and `problem` says why. places: where it was looked for -> the stamp of what
    was there, or None.
    """

    initializer: str
    name: str
    path: str = ""
    problem: Defect | None = None
    places: dict[str, list[int] | None] = {}


class SavedTensor(Struct, kw_only=True):
    """A tensor of a checkpoint: its key, the number of its DataType, its shape, and its bytes."""

    key: str
    dtype_enum: int
    shape: list[int]
    bytes: int


class SavedTable(Struct, kw_only=True):
    """What a saver restores into a lookup table. initializer: the node by which it does."""

    initializer: str
    keys: SavedTensor
    values: SavedTensor


LEFT_OUT = "left out: "  # how the reason begins for which an output is none that would have been one


class Initialized(Struct, kw_only=True):
    """What nodes that are run after a restore leave in a variable.

    dtype_enum: the number of its DataType. shape: None where nothing tells it yet. content: its bytes, base64; "" until
    they are known.
    """

    variable: str
    dtype_enum: int
    shape: list[int] | None
    content: str = ""


class Ranked(Struct):
    """A tensor that could be an output of a model, and what speaks for it."""

    name: str
    score: int | float
    chosen: bool
    reasons: list[str]


class Output(Struct):
    """What an output is: its dtype, its shape, None in it for a dimension that was not the same in all runs, and words.

    dtype: a name such as `float32`, "" where it was not seen, and shape None then. meaning: "" where nothing tells.
    """

    dtype: str
    shape: Shape | None
    meaning: str


class OpDefinition(Struct, kw_only=True):
    """What TensorFlow's registry says of an op type (graph.ops.registry).

    attrs: its attributes. defaults: attribute -> AttrValue, base64. references: [first, end] of the data inputs that it
    takes by reference, where end is None for all that follow; None where there are none. lends: whether its outputs are
    references to memory of its own. stateful: whether it may change what outlasts it. handles: positions of its inputs
    that are handles or references, or None where the op alone does not tell them.
    """

    attrs: list[str]
    defaults: dict[str, str]
    references: list[int | None] | None
    lends: bool
    stateful: bool
    handles: list[int] | None


class ImportRecord(Record, kw_only=True):
    """import.json: what is known of a model before it is frozen.

    prefix, files, format, checkpoint_bytes: of the checkpoint; step: None where its name has none. meta: the path of
    the meta graph that discovery found. findings: sentences. weights: raw or ema. op_types: with the number of nodes.
    outputs: node names, or `name:1` for a further output. outputs_confidence: how likely these are all that a user
    wants, from 0 to 1. weights_reached: the share of the trained weights on which they depend, from 0 to 1; None where
    they are named, or some were left out. reaches_more: where that is not most of them, a candidate that depends on
    more, or "".
    inputs: tensor -> what is fed (signature.inputs). op_definitions: op type -> definition. batches: the sizes of the
    batch on which the graph ran. stale_shapes: the first node whose `_output_shapes` TensorFlow refuses, or "".
    rehearsal: why the graph did not run, or "". described: output -> what it was in these runs. vocabularies, tables:
    what fills lookup tables, where anything does. initializers: nodes that are run after the restore, and initialized:
    what they leave in variables, where any are.
    """

    whole: ClassVar[frozenset[str]] = frozenset({
        "prefix", "files", "graph", "variables", "outputs", "inputs", "op_types", "checkpoint_bytes", "findings",
        "batches", "stale_shapes", "rehearsal",
    })  # fmt: skip

    prefix: str = _LACKING
    step: int | None = _LACKING
    format: str = _LACKING
    meta: str = _LACKING
    findings: list[str] = _LACKING
    checkpoint_bytes: int = _LACKING
    files: list[str] = _LACKING
    weights: str = _LACKING
    graph: Graph = _LACKING
    tensorflow_version: str = _LACKING
    producer: int = _LACKING
    nodes: int = _LACKING
    op_types: dict[str, int] = _LACKING
    placeholders: list[str] = _LACKING
    variables: list[Variable] = _LACKING
    vocabularies: list[Vocabulary] = _LACKING
    tables: list[SavedTable] = _LACKING
    initializers: list[str] = _LACKING
    initialized: list[Initialized] = _LACKING
    outputs: list[str] = _LACKING
    outputs_why: str = _LACKING
    outputs_ranking: list[Ranked] = _LACKING
    outputs_confidence: float = _LACKING
    weights_reached: float | None = _LACKING
    reaches_more: str = _LACKING
    inputs: Inputs = _LACKING
    op_definitions: dict[str, OpDefinition] = _LACKING
    batches: list[int] = _LACKING
    stale_shapes: str = _LACKING
    rehearsal: str = _LACKING
    described: dict[str, Output] = _LACKING


class Tensor(Struct):
    """A constant of a frozen graph that was a variable, and the tensor of the checkpoint that is its value.

    box: [start, extent] of the part of that tensor, None for all of it. bytes: of the value.
    """

    node: str
    key: str
    box: tuple[list[int], list[int]] | None
    shape: list[int]
    bytes: int


class Repair(Struct):
    """A change that the freezer made to a node; for an input that was cut, the tensor of its placeholder."""

    repair: str
    node: str
    placeholder: str = _LACKING


class Options(Struct, kw_only=True):
    """What the settings say of how a model is frozen, as freeze_graph's options say it."""

    clear_devices: bool
    initializer_nodes: list[str]
    variable_names_allowlist: list[str]
    variable_names_denylist: list[str]


class Provenance(Record, kw_only=True):
    """provenance.json: what a frozen graph was made of, and how.

    frozen_graph: the file's name. versions: of what made it, by name. outputs: tensors. sha256: of the files that were
    read, by name, those of the weights only where the settings ask for them. frozen_sha256: likewise. corrupt: path ->
    stamp of the files in which a checksum was wrong.
    frozen_stamp: as whole_files.stamp gives it. op_types: of the frozen graph, with the number of nodes.
    initializers: nodes that fill tables. cuts: tensor -> the placeholder's that was put in its place.
    inputs: tensor of the meta graph -> tensor of the frozen graph. initialized: variable -> the SHA-256 of what nodes
    that are run after the restore left in it, where any did. baked: tensor of the meta graph -> the value of an input
    that is a constant of the frozen graph, and none of its `inputs`, where there is one.
    """

    whole: ClassVar[frozenset[str]] = frozenset({
        "outputs", "inputs", "sha256", "frozen_bytes", "frozen_crc32c", "frozen_nodes", "frozen_variables",
        "op_types", "tensors", "initializers", "cuts", "repairs",
    })  # fmt: skip

    frozen_graph: str = _LACKING
    options: Options = _LACKING
    versions: dict[str, str] = _LACKING
    outputs: list[str] = _LACKING
    sha256: dict[str, str] = _LACKING
    corrupt: dict[str, Any] = _LACKING
    frozen_bytes: int = _LACKING
    frozen_crc32c: str = _LACKING
    frozen_sha256: str = _LACKING
    frozen_nodes: int = _LACKING
    frozen_variables: int = _LACKING
    op_types: dict[str, int] = _LACKING
    tensors: list[Tensor] = _LACKING
    initializers: list[str] = _LACKING
    cuts: dict[str, str] = _LACKING
    repairs: list[Repair] = _LACKING
    frozen_stamp: list[int] = _LACKING
    inputs: dict[str, str] = _LACKING
    initialized: dict[str, str] = _LACKING
    baked: dict[str, Any] = _LACKING


class ForeignProvenance(Provenance, kw_only=True):
    """What is known of a frozen graph that another tool made; in no file.

    initializers: of the meta graph. frozen_initializers: those that the frozen graph has.
    """

    frozen_initializers: list[str] = _LACKING


class Control(Struct):
    """What the negative control showed: the first variable whose change changed an output, or None for both.

    tried: how many variables were changed.
    """

    variable: str | None
    output: str | None
    tried: int


class Example(Struct):
    """example.npz: the feeds and the outputs of one trial.

    sha256, bytes: of the file. changed: when it was written, in ns. seed, batch: of the trial.
    """

    sha256: str
    bytes: int
    changed: int
    seed: int
    batch: int


class Verdict(Record, kw_only=True):
    """verify.json: what the judge measured.

    environment: TensorFlow's version and the sessions' settings. nodes_checked: how many nodes of the frozen graph are
    the meta graph's own. weights: how many constants are what TensorFlow restores. match: bitwise, tolerance, or "".
    behaviour: of the outputs (judge.behaviour). batches: the batch of each trial. max_abs_diff, tolerance_used: the
    largest; None where nothing is a number. example: of a verified model, but for one of which `no_example` says why
    there is none.
    """

    good: ClassVar[str] = VERIFIED
    whole: ClassVar[frozenset[str]] = frozenset({"match", "behaviour", "trials", "max_abs_diff"})

    frozen_graph: str = _LACKING
    prefix: str = _LACKING
    inputs: Inputs = _LACKING
    outputs: list[str] = _LACKING
    environment: dict[str, Any] = _LACKING
    nodes_checked: int = _LACKING
    structure: str = _LACKING
    weights: int = _LACKING
    random_ops: int = _LACKING
    match: str = _LACKING
    behaviour: str = _LACKING
    trials: int = _LACKING
    batches: list[int] = _LACKING
    max_abs_diff: float | None = _LACKING
    tolerance_used: float | None = _LACKING
    control: Control = _LACKING
    example: Example = _LACKING
    no_example: str = _LACKING


class JudgedFile(Verdict, kw_only=True):
    """judged.json: the same of a frozen graph that another tool made, with the file's own inputs and outputs.

    structure: `same`, or the first difference from the meta graph.
    """

    whole: ClassVar[frozenset[str]] = Verdict.whole | {"inputs", "outputs"}


def is_known(value: object) -> bool:
    """Whether a field of a record was found."""
    return value is not UNSET


def known(value: T, otherwise: D) -> T | D:
    """A field of a record where it was found, else what stands in for it."""
    return value if is_known(value) else otherwise


def failure(stage: str, problem: Problem, status: str = FAILED) -> Outcome:
    """The outcome of a stage in which something went wrong."""
    return Outcome(
        status=status,
        transient=problem.cause in TRANSIENT,
        stage=stage,
        cause=problem.cause,
        message=problem.message,
        hint=problem.hint,
    )


def success(status: str = OK) -> Outcome:
    """The outcome of a stage in which nothing went wrong."""
    return Outcome(status=status, transient=False, stage="", cause="", message="", hint="")
