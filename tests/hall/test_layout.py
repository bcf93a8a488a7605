"""The names of files made: the rules and the table say the same."""

import re

from conftest import HOME
from permafrost import layout

_NAME = re.compile(r"[/\"]([\w.]+\.(?:csv|html|json|log|pb|svg|txt|yaml))\"")
_OF_SNAKEMAKE = {"prune.log", "clean.log", "config.yaml"}
_MADE_BESIDE_THE_RULES = {layout.STATE, layout.LOCK}


def test_the_rules_make_what_the_layout_names():
    rules = [HOME / "Snakefile", *sorted((HOME / "rules").glob("*.smk"))]
    named = {name for path in rules for name in _NAME.findall(path.read_text(encoding="utf-8"))}
    # Rule `all` puts these together from their stems.
    stems = re.search(r'\{name\}\.csv" for name in \(([^)]*)\)', rules[0].read_text(encoding="utf-8"))
    named |= {f"{stem}.csv" for stem in re.findall(r'"(\w+)"', stems[1])}
    assert named - _OF_SNAKEMAKE == layout.MADE_FILES - _MADE_BESIDE_THE_RULES


def test_where_the_files_of_a_model_lie():
    rules = (HOME / "rules" / "models.smk").read_text(encoding="utf-8")
    of_model = set(re.findall(r"\{of_model\}/([\w.]+)", rules))
    of_frozen = set(re.findall(r"\{frozen\}/\{\{model\}\}/([\w.]+)", rules))
    assert (of_model, of_frozen) == (set(layout.OF_MODEL), set(layout.OF_FROZEN))
    assert layout.of_model("reports", "a/m", layout.IMPORT) == "reports/models/a/m/import.json"
    assert layout.of_frozen("frozen", "a/m", layout.PROVENANCE) == "frozen/a/m/provenance.json"
