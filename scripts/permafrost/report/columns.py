"""What the columns of each CSV file mean: for docs/reports.md, and for the page, which sorts numbers as numbers."""

from dataclasses import dataclass

from permafrost import outcome
from permafrost.judge.comparison import VERIFICATION_COLUMNS

TEXT, INTEGER, NUMBER = "text", "integer", "number"


@dataclass(frozen=True)
class Table:
    """A CSV file: where it is, what a row is, its columns in their order, and what each of them means.

    `meaning` maps a column to its type (TEXT, INTEGER or NUMBER) and a sentence.
    """

    path: str
    rows: str
    columns: tuple[str, ...]
    meaning: dict[str, tuple[str, str]]

    def sentences(self) -> dict[str, str]:
        """What each column means, in plain text."""
        return {column: sentence.replace("`", "") for column, (_, sentence) in self.meaning.items()}


_MODEL = (TEXT, "the model's id: `<directory below the zoo>/<stem>`")

_SUMMARY = Table(
    "reports/summary.csv",
    "a row for each model, sorted by id; the same bytes for the same zoo",
    outcome.SUMMARY_COLUMNS,
    {
        "model": _MODEL,
        "status": (TEXT, "`verified`, `mismatch`, `unverifiable` or `failed`"),
        "stage": (TEXT, "the stage that decided it; empty for a verified model"),
        "cause": (TEXT, "why, in one word; the README lists them all"),
        "message": (TEXT, "why, in one sentence that names the file or node"),
        "hint": (TEXT, "what to do about it"),
        "expect": (TEXT, "what the settings count as well, joined by `; `"),
        "match": (TEXT, "`bitwise`, or `tolerance` where the settings allow one; empty where outputs differ"),
        "behaviour": (TEXT, "`deterministic`, `random` or `stateful`: whether the next run gives the same"),
        "tolerance_used": (
            NUMBER,
            "the part of a tolerance that the largest difference takes; more than 1 is beyond it",
        ),
        "prefix": (TEXT, "the path of the checkpoint without its endings"),
        "step": (INTEGER, "the training step in the checkpoint's name"),
        "format": (TEXT, "`V1` or `V2`: how the checkpoint is written"),
        "producer": (INTEGER, "the GraphDef version of the TensorFlow that wrote the meta graph"),
        "tensorflow_version": (TEXT, "the TensorFlow that wrote the meta graph, as it says itself"),
        "inputs": (TEXT, "the tensors that are fed, joined by `; `"),
        "inputs_why": (TEXT, "for each input its dtype and shape (`?` is what trials vary), and how it is made"),
        "outputs": (TEXT, "the tensors that are fetched, joined by `; `"),
        "outputs_why": (TEXT, "how the outputs were chosen"),
        "nodes": (INTEGER, "nodes of the meta graph"),
        "frozen_nodes": (INTEGER, "nodes of the frozen graph"),
        "variables": (INTEGER, "variables of the meta graph"),
        "frozen_variables": (INTEGER, "variables whose values are in the frozen graph"),
        "checkpoint_bytes": (INTEGER, "size of the checkpoint's files, in bytes"),
        "frozen_bytes": (INTEGER, "size of frozen_graph.pb, in bytes"),
        "frozen_crc32c": (TEXT, "the CRC32C of frozen_graph.pb, in hexadecimal"),
        "trials": (INTEGER, "how often both sides were run"),
        "max_abs_diff": (NUMBER, "the largest absolute difference of any output in any trial"),
        "repairs": (TEXT, "what the freezer mended, and where, joined by `; `"),
        "findings": (TEXT, "what discovery and import noted, joined by `; `"),
    },
)

_ZOO = Table(
    "reports/zoo.csv",
    "a row for each checkpoint found below the zoo, also the unusable, and for links that lead out of it",
    outcome.ZOO_COLUMNS,
    {
        "model": (TEXT, f"{_MODEL[1]}; empty for a link that belongs to none"),
        "directory": (TEXT, "the directory that it is in, as the zoo was named"),
        "prefix": (TEXT, "the path of the checkpoint without its endings"),
        "step": (INTEGER, "the training step in its name"),
        "format": (TEXT, "`V1` or `V2`, as far as it can be told"),
        "shards": (INTEGER, "data files"),
        "bytes": (INTEGER, "size of all its files, in bytes"),
        "meta_graph": (TEXT, "the path of its .meta file"),
        "selected": (TEXT, "`yes` where this checkpoint is the model; `no` for older steps, for instance"),
        "cause": (TEXT, "what is wrong, in one word"),
        "message": (TEXT, "what is wrong, in one sentence"),
        "hint": (TEXT, "what to do about it"),
        "findings": (TEXT, "what discovery noted, joined by `; `"),
    },
)

_CHANGES = Table(
    "reports/changes.csv",
    "what is other than in the last finished run, the worst first; without such a run all models are new",
    outcome.CHANGE_COLUMNS,
    {
        "model": _MODEL,
        "change": (TEXT, "`new`, `gone`, `worse` or `better` (of the status), or `changed` (of any other column)"),
        "column": (TEXT, "the column of summary.csv that changed; `status` for models new and gone"),
        "before": (TEXT, "its value in the last finished run; empty for a new model"),
        "after": (TEXT, "its value now; empty for a model that is gone"),
    },
)

_FINDINGS = Table(
    "reports/findings.csv",
    "what a careful colleague would warn about; each model has its own in reports/models/<model>/findings.csv",
    outcome.FINDING_COLUMNS,
    {
        "model": _MODEL,
        "severity": (TEXT, "`error`, `warning` or `info`"),
        "finding": (TEXT, "what it is, in one word; the README lists them all"),
        "node": (TEXT, "the node or variable that it is about"),
        "advice": (TEXT, "what it means, and what to do"),
    },
)

_OP_TYPES = Table(
    "reports/op_types.csv",
    "a row for each op type of each model",
    outcome.OP_TYPE_COLUMNS,
    {
        "op_type": (TEXT, "the op type"),
        "model": _MODEL,
        "nodes": (INTEGER, "nodes of this type in the meta graph; empty where it could not be read"),
        "frozen_nodes": (INTEGER, "nodes of this type in the frozen graph; empty where there is none"),
    },
)

_TIMINGS = Table(
    "reports/timings.csv",
    "a row for each stage of each model",
    outcome.TIMING_COLUMNS,
    {
        "model": _MODEL,
        "stage": (TEXT, "`import_meta`, `freeze`, `verify` or `list_ops`"),
        "seconds": (NUMBER, "wall time, in seconds"),
        "cpu_seconds": (NUMBER, "CPU time of the stage and its children, in seconds"),
        "peak_mb": (NUMBER, "the largest resident memory, in MiB"),
    },
)

_RANKING = Table(
    "reports/models/<model>/outputs.csv",
    "all that could be an output of the model, best first",
    outcome.RANKING_COLUMNS,
    {
        "output": (TEXT, "the tensor or node"),
        "chosen": (TEXT, "`yes` or `no`"),
        "score": (NUMBER, "how much speaks for it; empty where the settings name it"),
        "reasons": (TEXT, "what speaks for it and against it"),
    },
)

_OPS = Table(
    "reports/models/<model>/ops.csv, frozen_ops.csv",
    "a row for each op of the meta graph, and of the frozen graph",
    outcome.OP_COLUMNS,
    {
        "name": (TEXT, "the node's name"),
        "type": (TEXT, "its op type"),
        "output": (TEXT, "its tensors as TensorFlow prints them, joined by `; `"),
        "inputs": (TEXT, "the tensors that it takes, joined by `; `"),
        "control_inputs": (TEXT, "the nodes that must run before it, joined by `; `"),
        "device": (TEXT, "the device that it is bound to"),
        "dtypes": (TEXT, "the dtypes of its outputs, joined by `; `"),
        "shapes": (TEXT, "the shapes of its outputs, joined by `; `; `?` is what is not known"),
        "bytes": (INTEGER, "what a constant or a variable holds, in bytes"),
    },
)

_VARIABLES = Table(
    "reports/models/<model>/variables.csv",
    "a row for each variable of the meta graph",
    outcome.VARIABLE_COLUMNS,
    {
        "variable": (TEXT, "the variable's node"),
        "op": (TEXT, "its op type"),
        "dtype": (TEXT, "its dtype"),
        "shape": (TEXT, "its shape"),
        "bytes": (INTEGER, "the size of its value, in bytes"),
        "key": (TEXT, "the name of its tensor in the checkpoint; empty where it has none"),
        "slice": (TEXT, "the part of that tensor, where the variable is a slice"),
        "frozen": (TEXT, "`yes` where its value is in the frozen graph"),
    },
)

_VERIFICATION = Table(
    "reports/models/<model>/verification.csv",
    "a row for each output and trial",
    VERIFICATION_COLUMNS,
    {
        "output": (TEXT, "the tensor that was compared"),
        "trial": (INTEGER, "the number of the trial, from 0"),
        "seed": (INTEGER, "the seed of what was fed"),
        "batch": (INTEGER, "the batch size"),
        "dtype": (TEXT, "the dtype of the checkpoint's output"),
        "shape": (TEXT, "its shape"),
        "behaviour": (TEXT, "`deterministic`, `random` or `stateful`, by further runs of the checkpoint's graph"),
        "match": (TEXT, "`bitwise`, `tolerance`, or empty where the two sides differ"),
        "tolerance_used": (
            NUMBER,
            "the part of a tolerance that the largest difference takes; more than 1 is beyond it",
        ),
        "unequal": (INTEGER, "elements that are not equal"),
        "max_abs_diff": (NUMBER, "the largest absolute difference"),
        "max_rel_diff": (NUMBER, "the largest difference relative to the checkpoint's value"),
        "max_ulp_diff": (NUMBER, "the largest number of representable numbers between the two values"),
        "cosine": (NUMBER, "the cosine of the angle between the two, as vectors"),
        "nan_checkpoint": (INTEGER, "elements of the checkpoint's output that are NaN"),
        "nan_frozen": (INTEGER, "elements of the frozen graph's output that are NaN"),
        "inf_checkpoint": (INTEGER, "elements of the checkpoint's output that are infinite"),
        "inf_frozen": (INTEGER, "elements of the frozen graph's output that are infinite"),
        "where": (TEXT, "the index of the first element that differs; empty where dtype or shape do"),
        "checkpoint_value": (TEXT, "the checkpoint's value there"),
        "frozen_value": (TEXT, "the frozen graph's value there"),
        "first_tensor": (
            TEXT,
            "the first tensor, in the order of the data, that differs: its name, op and both values",
        ),
    },
)

_JUDGED = Table(
    "reports/judged.csv",
    "a row for each frozen graph that `snakemake judge` judged, sorted by the model's id",
    outcome.JUDGED_COLUMNS,
    {name: _SUMMARY.meaning[name] for name in outcome.JUDGED_COLUMNS if name in _SUMMARY.meaning}
    | {
        "frozen_graph": (TEXT, "the file, as the settings name it"),
        "structure": (TEXT, "`same`, or the first difference from the meta graph"),
        "weights": (INTEGER, "constants that bear a variable's name, all of which have its value"),
    },
)

TABLES = (
    _SUMMARY, _CHANGES, _FINDINGS, _ZOO, _OP_TYPES, _TIMINGS, _JUDGED,
    _RANKING, _OPS, _VARIABLES, _VERIFICATION,
)  # fmt: skip


def type_of(column: str) -> str:
    """TEXT, INTEGER or NUMBER; TEXT for a column that no table describes."""
    return next((table.meaning[column][0] for table in TABLES if column in table.meaning), TEXT)


def reference() -> str:
    """All tables and their columns as a page of Markdown, docs/reports.md."""
    parts = [_HEAD]
    for table in TABLES:
        rows = [f"| `{name}` | {' | '.join(table.meaning.get(name, (TEXT, '')))} |" for name in table.columns]
        parts.append(f"## {table.path}\n\n{table.rows[0].upper()}{table.rows[1:]}.\n\n")
        parts.append("\n".join(["| column | type | meaning |", "|---|---|---|", *rows]) + "\n\n")
    return "".join(parts).rstrip("\n") + "\n"


_HEAD = """# The CSV files

All are RFC 4180 and UTF-8, with a header and one line for each row. Control characters in names, and bytes that are not
UTF-8, are percent-encoded. A cell is empty where something is not known. Each file is written whole or not at all, and
its rows come in the same order each time. Columns of type `integer` and `number` are read as numbers by pandas.

This page is made from `scripts/permafrost/report/columns.py` by `python docs/make_reference.py`.

"""
