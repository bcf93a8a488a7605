"""summary.csv: how each model ended."""

from dataclasses import dataclass
from typing import Any

from permafrost import layout
from permafrost.input_kinds import Input, Inputs
from permafrost.model import Model
from permafrost.outcome import CAUSES
from permafrost.records import ImportRecord, Outcome, Provenance, Verdict, is_known, known
from permafrost.report import csv_files
from permafrost.report.columns import MODEL, Integer, Number, Table, Text


@dataclass(frozen=True)
class Result:
    """What a row is made of: a model as discovery found it, and its records, in which what is not known is UNSET.

    ended: how the model ended; the verification, or why nobody knows. exports: how each export ended.
    """

    model: Model
    imported: ImportRecord
    provenance: Provenance
    verified: Verdict
    ended: Outcome
    exports: list[str]

    def fed(self) -> Inputs:
        """The inputs of the import, without those that are constants of the frozen graph."""
        found: Inputs = known(self.imported.inputs, {})
        baked = known(self.provenance.baked, {})
        return {name: spec for name, spec in found.items() if name not in baked} if baked else found


def _ended(field: str) -> Any:
    return lambda result: getattr(result.ended, field)


def _verified(field: str) -> Any:
    return lambda result: known(getattr(result.verified, field), None)


def _imported(field: str) -> Any:
    return lambda result: known(getattr(result.imported, field), None)


def _found(field: str, discovered: str = "") -> Any:
    """What the import says, or else what discovery said."""
    return lambda result: known(getattr(result.imported, field), getattr(result.model, discovered or field))


def _frozen(field: str) -> Any:
    return lambda result: known(getattr(result.provenance, field), None)


def _hint(result: Result) -> str | None:
    return result.ended.hint or (CAUSES.get(result.ended.cause) if result.ended.cause else "")


def _fed_how(result: Result) -> list[str]:
    return [_how_fed(name, spec) for name, spec in result.fed().items()]


def _how_fed(name: str, spec: Input) -> str:
    """What is fed to an input, with `?` for the sizes that each trial chooses."""
    sizes = "" if spec.shape is None else f" {csv_files.shape(spec.shape)}"
    return f"{name}: {spec.dtype}{sizes}, {spec.why}"


def _variables(result: Result) -> int | None:
    return len(result.imported.variables) if is_known(result.imported.variables) else None


def _repairs(result: Result) -> list[str]:
    return [f"{repair.repair}: {repair.node}" for repair in known(result.provenance.repairs, ())]


SUMMARY = Table(
    f"reports/{layout.SUMMARY}",
    "a row for each model, sorted by id; the same bytes for the same zoo",
    (
        Text("model", MODEL, lambda result: result.model.id),
        Text("status", "`verified`, `mismatch`, `unverifiable` or `failed`", _ended("status")),
        Text("stage", "the stage that decided it; empty for a verified model", _ended("stage")),
        Text("cause", "why, in one word; docs/causes.md lists them all", _ended("cause")),
        Text("message", "why, in one sentence that names the file or node", _ended("message")),
        Text("hint", "what to do about it", _hint),
        Text("expect", "what the settings count as well, joined by `; `", lambda result: result.model.expect),
        Text(
            "match",
            "`bitwise`, or `tolerance` where the settings allow one; empty where outputs differ",
            _verified("match"),
        ),
        Text(
            "behaviour",
            "`deterministic`, `random` or `stateful`: whether the next run gives the same",
            _verified("behaviour"),
        ),
        Number(
            "tolerance_used",
            "the part of a tolerance that the largest difference takes; more than 1 is beyond it",
            _verified("tolerance_used"),
        ),
        Text("prefix", "the path of the checkpoint without its endings", _found("prefix")),
        Integer("step", "the training step in the checkpoint's name", _found("step")),
        Text("format", "`V1` or `V2`: how the checkpoint is written", _found("format")),
        Integer("producer", "the GraphDef version of the TensorFlow that wrote the meta graph", _imported("producer")),
        Text(
            "tensorflow_version",
            "the TensorFlow that wrote the meta graph, as it says itself",
            _imported("tensorflow_version"),
        ),
        Text("inputs", "the tensors that are fed, joined by `; `", lambda result: list(result.fed())),
        Text(
            "inputs_why", "for each input its dtype and shape (`?` is what trials vary), and how it is made", _fed_how
        ),
        Text("outputs", "the tensors that are fetched, joined by `; `", _imported("outputs")),
        Text("outputs_why", "how the outputs were chosen", _imported("outputs_why")),
        Number(
            "outputs_confidence",
            "how likely the outputs are all that a user wants, from 0 to 1; 1 where settings or a signature name them",
            _imported("outputs_confidence"),
        ),
        Number(
            "weights_reached",
            "the share of the trained weights on which the outputs depend, from 0 to 1; empty where they are named, or "
            "one was left out",
            _imported("weights_reached"),
        ),
        Integer("nodes", "nodes of the meta graph", _imported("nodes")),
        Integer("frozen_nodes", "nodes of the frozen graph", _frozen("frozen_nodes")),
        Integer("variables", "variables of the meta graph", _variables),
        Integer("frozen_variables", "variables whose values are in the frozen graph", _frozen("frozen_variables")),
        Integer("checkpoint_bytes", "size of the checkpoint's files, in bytes", _found("checkpoint_bytes", "bytes")),
        Integer("frozen_bytes", "size of frozen_graph.pb, in bytes", _frozen("frozen_bytes")),
        Text("frozen_crc32c", "the CRC32C of frozen_graph.pb, in hexadecimal", _frozen("frozen_crc32c")),
        Integer("trials", "how often both sides were run", _verified("trials")),
        Number("max_abs_diff", "the largest absolute difference of any output in any trial", _verified("max_abs_diff")),
        Text("repairs", "what the freezer mended, and where, joined by `; `", _repairs),
        Text("findings", "what discovery and import noted, joined by `; `", _found("findings")),
        Text("exports", "how each export of the frozen graph ended, `<format>: <status>`, joined by `; `"),
    ),
)
