"""exports.csv: what each model was exported to, and how that was judged."""

from dataclasses import dataclass
from typing import Any

from permafrost import layout
from permafrost.export_records import ExportRecord, ExportVerdict
from permafrost.outcome import hint_of_export
from permafrost.records import Outcome, known
from permafrost.report.columns import MODEL, Integer, Number, Table, Text


@dataclass(frozen=True)
class Export:
    """What a row is made of: a model's id, a format and its two records, in which what is not known is UNSET.

    ended: how the export ended; what the judge said, or why nobody knows. expect: as in settings.meets.
    """

    model: str
    format: str
    expect: str | list[str]
    record: ExportRecord
    verdict: ExportVerdict
    ended: Outcome


def _ended(field: str) -> Any:
    return lambda export: getattr(export.ended, field)


def _made(field: str) -> Any:
    return lambda export: known(getattr(export.record, field), None)


def _judged(field: str) -> Any:
    return lambda export: known(getattr(export.verdict, field), None)


def _hint(export: Export) -> str | None:
    return export.ended.hint or hint_of_export(export.ended.cause)


def _pairs(field: str, between: str) -> Any:
    return lambda export: [
        f"{name}{between}{value}" for name, value in known(getattr(export.record, field), {}).items()
    ]


EXPORTS = Table(
    f"reports/{layout.EXPORTS}",
    "a row for each model and each format that its settings ask for, sorted by the model's id",
    (
        Text("model", MODEL),
        Text("format", "`saved_model`, `onnx` or `tflite`"),
        Text("status", "`verified`, `mismatch`, `unverifiable` or `refused`", _ended("status")),
        Text("cause", "why, in one word; docs/causes.md lists them all", _ended("cause")),
        Text("message", "why, in one sentence that names the node", _ended("message")),
        Text("hint", "what to do about it", _hint),
        Text("op", "the op that stood in the way, where it was refused for one", _made("op")),
        Text("node", "its node", _made("node")),
        Integer("opset", "the version of ONNX's operators", _made("opset")),
        Text("versions", "what made it, with versions, joined by `; `", _pairs("versions", " ")),
        Text(
            "match",
            "`bitwise`, or `tolerance` where they differ within the format's `tolerance`; empty where outputs differ",
            _judged("match"),
        ),
        Number("max_abs_diff", "the largest absolute difference of any output in any trial", _judged("max_abs_diff")),
        Number(
            "tolerance_used",
            "the part of the tolerance that the largest difference takes; more than 1 is beyond it",
            _judged("tolerance_used"),
        ),
        Text(
            "usual_match",
            "the same as `match` under the settings that the runtime has by itself, where the judge's are others",
            _judged("usual_match"),
        ),
        Number(
            "usual_max_abs_diff", "the largest absolute difference under these settings", _judged("usual_max_abs_diff")
        ),
        Text("first_tensor", "the first output that differs, or where it begins", _judged("first_tensor")),
        Integer("bytes", "size of the exported files, in bytes", _made("bytes")),
        Text("baked", "inputs that are constants in the file, with their values, joined by `; `", _pairs("baked", "=")),
        Text("changes", "what was changed in the graph before it was converted, joined by `; `", _made("changes")),
        Text("way", "by which of the format's ways of conversion it was made", _made("way")),
        Text("expect", "what the settings count as well, joined by `; `"),
    ),
)
