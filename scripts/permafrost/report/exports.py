"""The exports of the models: their records, a row of exports.csv for each, and what is warned about."""

from pathlib import Path

from permafrost import layout, recording
from permafrost.export_records import FORMATS, NOT_LOADED, NOT_RUN, SAVED_MODEL, Endpoint, ExportRecord, ExportVerdict
from permafrost.model import Model
from permafrost.outcome import EXPORT_STATUSES, UNVERIFIABLE, VERIFIED, Problem
from permafrost.records import ImportRecord, failure, is_known, known
from permafrost.report.tables.exports import Export
from permafrost.report.tables.findings import INFO, WARNING, Finding
from permafrost.zoo.state_file import State

_BITWISE = "bitwise"


def of_model(model: Model, frozen: str | Path, reports: str | Path) -> list[Export]:
    """What is known of each export that a model's settings ask for, in the order of FORMATS."""
    return [_export(model, form, frozen, reports) for form in FORMATS if form in model.exports]


def _export(model: Model, form: str, frozen: str | Path, reports: str | Path) -> Export:
    made = layout.of_frozen(frozen, model.id, layout.export_record(form))
    judged = layout.of_model(reports, model.id, layout.export_verdict(form))
    record, first = recording.load_or_empty(made, ExportRecord)
    verdict, second = recording.load_or_empty(judged, ExportVerdict)
    wrong = first or second
    if not wrong and verdict.status not in EXPORT_STATUSES:
        wrong = f"{judged} has the status {verdict.status!r}, which is none of {', '.join(EXPORT_STATUSES)}"
    ended = failure("list_exports", Problem("internal", wrong), UNVERIFIABLE) if wrong else verdict
    return Export(model.id, form, model.exports[form], record, verdict, ended)


def rows(state: State, frozen: str, reports: str) -> list[Export]:
    """What the rows of exports.csv are made of, sorted by the model's id.

    Args:
      state: as zoo.state_file reads it.
      frozen, reports: the directories of the exports' records, and of the judge's.
    """
    models = sorted(state.models, key=lambda model: model.id)
    return [export for model in models for export in of_model(model, frozen, reports)]


def told(exports: list[Export]) -> list[str]:
    """How each export ended, for summary.csv."""
    return [f"{export.format}: {export.ended.status}" for export in exports]


def findings(exports: list[Export], imported: ImportRecord) -> list[Finding]:
    """What a careful colleague would say of files that were exported."""
    found: list[Finding] = []
    for export in exports:
        found += [*_differing(export), *_baked(export), *_fixed(export, imported)]
    return found


def _differing(export: Export) -> list[Finding]:
    verdict = export.verdict
    usual = known(verdict.usual_match, _BITWISE)
    if export.format != SAVED_MODEL or verdict.status != VERIFIED or usual == _BITWISE:
        return []
    return [Finding(INFO, "export_differs_by_default", export.format, _usual(verdict), export.model)]


def _usual(verdict: ExportVerdict) -> str:
    """What a SavedModel does under TensorFlow's own settings, where that is not the checkpoint's bits."""
    if verdict.usual_match == NOT_LOADED:
        return (
            "tf.saved_model.load does not load the SavedModel, since TensorFlow puts one of its ops into no new graph; "
            "sessions and TensorFlow Serving do"
        )
    own = "under the settings that TensorFlow has by itself, with its graph optimisers on, the SavedModel"
    if verdict.usual_match == NOT_RUN:
        return f"{own} was not run within `timeout` and `memory_mb`; see judge_saved_model.log"
    most = known(verdict.usual_max_abs_diff, None)
    by = f" by up to {most:g}" if most is not None else ""
    return f"{own}'s outputs differ from the checkpoint's{by}; where the bits matter, load it with the optimisers off"


def _baked(export: Export) -> list[Finding]:
    return [
        Finding(
            INFO,
            "baked_input",
            source,
            f"in the exported {export.format} this input always is {value}, and cannot be fed; `{export.format}: "
            "{bake: false}` keeps it an input",
            export.model,
        )
        for source, value in known(export.record.baked, {}).items()
    ]


def _fixed(export: Export, imported: ImportRecord) -> list[Finding]:
    """Where a file has sizes for what the graph leaves open; a warning where nobody asked for that."""
    if not is_known(export.record.signature):
        return []
    asked = known(export.record.options, {}).get("batch") is not None
    return [
        Finding(
            INFO if asked else WARNING,
            "fixed_batch",
            endpoint.source,
            f"the exported {export.format} takes {endpoint.key} of the sizes {endpoint.shape} alone, though the graph "
            "leaves some of them open",
            export.model,
        )
        for endpoint in export.record.signature.inputs
        if _is_fixed(endpoint, imported)
    ]


def _is_fixed(endpoint: Endpoint, imported: ImportRecord) -> bool:
    spec = known(imported.inputs, {}).get(endpoint.source)
    return spec is not None and bool(endpoint.fixed(spec.shape))
