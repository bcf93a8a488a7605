"""The names of files made: the rules and the table say the same."""

import re

from conftest import HOME
from permafrost import layout

_NAME = re.compile(r"[/\"]([\w.]+\.(?:csv|html|json|log|md|pb|svg|txt|yaml))\"")
# What people edit, and what Snakemake has; none of it is deleted.
_OTHERS = {"settings.yaml", "prune.log", "clean.log", "config.yaml"}
_MADE_BESIDE_THE_RULES = {layout.STATE, layout.LOCK, *layout.OF_GRAPH}
FILES_OF_EXPORTS = {"saved_model.pb", "model.onnx", "model.onnx.data", "model.tflite"}


def test_the_rules_make_what_the_layout_names():
    rules = [HOME / "Snakefile", *sorted((HOME / "rules").glob("*.smk"))]
    named = {name for path in rules for name in _NAME.findall(path.read_text(encoding="utf-8"))}
    # Rule `all` puts these together from their stems.
    stems = re.search(r'\{name\}\.csv"\s+for name in \(([^)]*)\)', rules[0].read_text(encoding="utf-8"))
    named |= {f"{stem}.csv" for stem in re.findall(r'"(\w+)"', stems[1])}
    named |= of_exports()[0] | of_exports()[1] | FILES_OF_EXPORTS
    assert named - _OTHERS == layout.MADE_FILES - _MADE_BESIDE_THE_RULES


def of_exports() -> tuple[set[str], set[str]]:
    """What rules/exports.smk makes of a model among its reports, and beside its frozen graph, of all formats."""
    rules = (HOME / "rules" / "exports.smk").read_text(encoding="utf-8")
    of_model = set(re.findall(r"\{of_model\}/((?:export|judged|judge)_[\w.{}]+)", rules))
    of_frozen = set(re.findall(r"\{frozen\}/\{\{model\}\}/(export_[\w.{}]+)", rules))
    return formatted(of_model), formatted(of_frozen)


def formatted(names: set[str]) -> set[str]:
    return {name.replace("{{format}}", form) for name in names for form in layout.EXPORTED}


def test_where_the_files_of_exports_lie():
    of_model, of_frozen = of_exports()
    assert of_model == {name for form in layout.EXPORTED for name in layout.beside_reports(form)}
    assert of_frozen == {layout.export_record(form) for form in layout.EXPORTED}


def test_where_the_files_of_a_model_lie():
    rules = (HOME / "rules" / "models.smk").read_text(encoding="utf-8")
    of_model = set(re.findall(r"\{of_model\}/([\w.]+\.\w+)", rules))
    of_frozen = set(re.findall(r"\{frozen\}/\{\{model\}\}/([\w.]+)", rules))
    assert (of_model, of_frozen) == ({*layout.OF_MODEL, *layout.OF_STEPS}, set(layout.OF_FROZEN))
    assert layout.of_model("reports", "a/m", layout.IMPORT) == "reports/models/a/m/import.json"
    assert layout.of_frozen("frozen", "a/m", layout.PROVENANCE) == "frozen/a/m/provenance.json"
