"""What the stages are told of a model: where its checkpoint and its graph are, what is wrong with them, its settings.

What the settings do not say is UNSET.
"""

from typing import Any

from msgspec import UNSET, Struct

from permafrost.outcome import VERIFIED

# Typed as what it stands in for: each stage is told those settings that it needs.
_LACKING: Any = UNSET

# How far outputs may differ: `ulp`, units in the last place; or `rtol` and `atol`, either of which may be missing.
Tolerance = dict[str, int | float]


class Limits(Struct, kw_only=True):
    """What a stage of a model may take: time (s), memory (MiB), the size of a file (MiB), threads and processes.

    The defaults are those of config.schema.yaml, for who calls a stage without any.
    """

    timeout: int | float = 300
    memory_mb: int = 8192
    file_mb: int = 64
    processes: int = 1024


# An input's value in a frozen graph or an exported file: false for none, true for those that inference always feeds the
# same, or what the settings say, by the input's name.
Bake = bool | dict[str, Any]


class ExportOptions(Struct, kw_only=True):
    """What the settings say of one format that a frozen graph is exported to.

    bake: which inputs the file has as constants. expect: what the export is expected to end as (settings.meets).
    """

    bake: Bake = False
    expect: str | list[str] = VERIFIED


class SavedModelOptions(ExportOptions, kw_only=True):
    """Those of a SavedModel, which has to give the same bits."""


class OnnxOptions(ExportOptions, kw_only=True):
    """Those of ONNX.

    opset: the version of its operators. batch: what the first open dimension of each input is fixed to, or None.
    dynamic_axes: the names of open dimensions, by the key of the input or output and the axis. tolerance: how far an
    output may be off, as a share of its largest absolute value.
    """

    bake: Bake = True
    opset: int = 18
    batch: int | None = None
    dynamic_axes: dict[str, dict[int, str]] = {}
    tolerance: float = 1e-5


class TfliteOptions(ExportOptions, kw_only=True):
    """Those of TensorFlow Lite; batch and tolerance as in OnnxOptions. quantize: float16, dynamic_int8 or None."""

    bake: Bake = True
    batch: int | None = None
    quantize: str | None = None
    tolerance: float = 1e-5


class SignatureNames(Struct, kw_only=True):
    """What inputs and outputs of exported files are called: key -> tensor; the others keep the name of their node."""

    inputs: dict[str, str] = {}
    outputs: dict[str, str] = {}


class Settings(Limits, kw_only=True):
    """The settings of a model, which config.schema.yaml describes; a stage is told those that it needs.

    outputs: `auto`, or names of nodes and tensors. inputs: name -> what the config says to feed, the batch as None.
    title, task, owner, licence, notes: what the owner says of the model, as About has it.
    """

    outputs: str | list[str] = _LACKING
    inputs: dict[str, Any] = _LACKING
    checkpoints: str | list[int] = _LACKING
    tolerance: Tolerance | None = _LACKING
    output_tolerance: dict[str, Tolerance | None] = _LACKING
    expect: str | list[str] = _LACKING
    judge: str = _LACKING
    weights: str = _LACKING
    input_meta_graph: str = _LACKING
    input_graph: str = _LACKING
    input_binary: bool | None = _LACKING
    input_saver: str = _LACKING
    input_checkpoint: str = _LACKING
    input_saved_model_dir: str = _LACKING
    saved_model_tags: list[str] = _LACKING
    restore_op_name: str = _LACKING
    filename_tensor_name: str = _LACKING
    checkpoint_version: str | None = _LACKING
    unsaved_variables: str = _LACKING
    clear_devices: bool = _LACKING
    bake: Bake = False
    variable_names_allowlist: list[str] = _LACKING
    variable_names_denylist: list[str] = _LACKING
    initializer_nodes: list[str] = _LACKING
    trials: int = _LACKING
    seed: int = _LACKING
    allow_ops: list[str] = _LACKING
    allow_paths: list[str] = _LACKING
    export: list[str] = _LACKING
    signature: SignatureNames = _LACKING
    saved_model: SavedModelOptions = _LACKING
    onnx: OnnxOptions = _LACKING
    tflite: TfliteOptions = _LACKING
    hashes: str = _LACKING
    title: str = ""
    task: str = ""
    owner: str = ""
    licence: str = ""
    notes: str = ""


class About(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the owner of a model says of it in the settings; "" for what nobody says."""

    title: str = ""
    task: str = ""
    owner: str = ""
    licence: str = ""
    notes: str = ""


class Defect(Struct):
    """What is wrong with a checkpoint, as discovery found it; the fields of a Problem."""

    cause: str
    message: str
    hint: str


class Graph(Struct, kw_only=True):
    """Where a model's graph comes from (graph.graph_sources).

    form: meta_graph, saved_model, graph_def or events. saver: the file of a SaverDef, or "". tags: of a SavedModel.
    binary: None where the file itself tells. restore_op_name, filename_tensor_name: "" where the SaverDef says so.
    number: of the graph in an events file, from 0.
    """

    form: str
    path: str
    saver: str = ""
    tags: list[str] = []
    binary: bool | None = None
    restore_op_name: str = ""
    filename_tensor_name: str = ""
    number: int = _LACKING


class GraphFiles(Struct, kw_only=True):
    """The files in which the graph of a checkpoint without a meta graph is looked for.

    own: paths of those that belong to no other checkpoint; others: of meta graphs of checkpoints in other directories.
    unseen: how many more there are of the former.
    """

    own: list[str]
    others: list[str] = []
    unseen: int = 0


class Source(Struct, kw_only=True):
    """What the first stages are told of a model: where its checkpoint and its graph are, and what is wrong with them.

    step: None where the name has none. format: V1, V2, or "" where nothing tells. bytes: of the checkpoint's files
    without the meta graph. fingerprint: changes where a file does. graph: where the settings name another than `meta`.
    graphs: where the graph is looked for when nothing names it, or None.
    """

    prefix: str
    meta: str
    step: int | None
    format: str
    bytes: int
    shards: int = 0
    fingerprint: str = ""
    problem: Defect | None = None
    findings: list[str] = []
    graph: Graph = _LACKING
    graphs: GraphFiles | None = None


class Model(Source, kw_only=True):
    """A checkpoint that is to be frozen. `zoo` is the directory that it was found below, as the config names it.

    expect: what it is expected to end as (settings.meets). judge: the path of another tool's frozen graph, or "".
    exports: the formats that its frozen graph is exported to -> what each is expected to end as. about: what its owner
    says of it.
    """

    id: str
    zoo: str
    series: str
    directory: str
    files: list[str]
    expect: str | list[str] = VERIFIED
    judge: str = ""
    exports: dict[str, str | list[str]] = {}
    about: About = About()
