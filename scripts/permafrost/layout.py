"""The names of all files that the pipeline makes, and where those of a model lie."""

from os import PathLike, fspath

# In frozen/<model>/
FROZEN_GRAPH = "frozen_graph.pb"
PROVENANCE = "provenance.json"
OF_FROZEN = (PROVENANCE, FROZEN_GRAPH)

# In frozen/<model>/ too, where there is a frozen graph; an example only of one that was verified.
CHECKPOINT_HASHES = "checkpoint.sha256"
EXAMPLE = "example.npz"
CARD = "card.md"
HASHES = "SHA256SUMS"
OF_GRAPH = (CHECKPOINT_HASHES, EXAMPLE, CARD, HASHES)

# In reports/models/<model>/
MODELS = "models"
IMPORT = "import.json"
OUTPUTS = "outputs.csv"
OPS = "ops.csv"
FROZEN_OPS = "frozen_ops.csv"
VARIABLES = "variables.csv"
MODEL_FINDINGS = "findings.csv"
PICTURE = "graph.svg"
LISTING = "list_ops.json"
VERDICT = "verify.json"
VERIFICATION = "verification.csv"
OF_MODEL = (
    IMPORT, OUTPUTS, OPS, FROZEN_OPS, VARIABLES, MODEL_FINDINGS, PICTURE, LISTING, VERDICT, VERIFICATION,
    "import_meta.log", "freeze.log", "verify.log", "list_ops.log",
)  # fmt: skip

# In reports/models/<model>/ too, where the settings name another tool's frozen graph.
JUDGED_VERDICT = "judged.json"
OF_JUDGED = (JUDGED_VERDICT, "judged.csv", "judge.log")

# Of an export, by its format: in frozen/<model>/ these files and a record, in reports/models/<model>/ the rest.
EXPORTED = {
    "saved_model": ("saved_model/saved_model.pb",),
    "onnx": ("model.onnx", "model.onnx.data"),
    "tflite": ("model.tflite",),
}
_EXPORT_RECORD, _EXPORT_VERDICT, _EXPORT_TABLE = "export_{}.json", "judged_{}.json", "export_{}.csv"
_EXPORT_LOGS = ("export_{}.log", "judge_{}.log")

# In reports/models/<model>/ too, of a step of a series that has an earlier one.
STEPS = "steps.csv"
OF_STEPS = (STEPS, "compare_steps.log")

# In reports/
SUMMARY = "summary.csv"
CHANGES = "changes.csv"
FINDINGS = "findings.csv"
ZOO = "zoo.csv"
OP_TYPES = "op_types.csv"
TIMINGS = "timings.csv"
JUDGED = "judged.csv"
EXPORTS = "exports.csv"
CARDS = "cards.md"
PAGE = "index.html"
FOUND_SETTINGS = "settings.found.yaml"  # settings.yaml beside it is edited, so that nothing deletes it
STATE = ".zoo.json"
LAST_SUMMARY = ".last_summary.csv"
HISTORY = "history.csv"
RUN = ".run.json"
BRIEF = "summary.md"
LOCK = ".lock"
OF_ZOO = (
    SUMMARY, CHANGES, FINDINGS, ZOO, OP_TYPES, TIMINGS, JUDGED, EXPORTS, CARDS, PAGE, FOUND_SETTINGS, STATE,
    LAST_SUMMARY, LOCK, HISTORY, RUN, BRIEF, "gate.txt", "judged.txt", "discover.log", "summarize.log", "changes.log",
    "page.log", "gate.log", "list_judged.log", "judged.log", "settings.log", "list_exports.log", "cards.log",
)  # fmt: skip


def export_record(export: str) -> str:
    """The name of the record of an export to a format, beside the frozen graph."""
    return _EXPORT_RECORD.format(export)


def export_verdict(export: str) -> str:
    """The name of the judge's record of an export to a format, among the model's reports."""
    return _EXPORT_VERDICT.format(export)


def export_table(export: str) -> str:
    """The name of the table of an export, with a row for each output and trial."""
    return _EXPORT_TABLE.format(export)


def beside_frozen(export: str) -> tuple[str, ...]:
    """The names of what is made of an export in frozen/<model>/."""
    return (*EXPORTED[export], export_record(export))


def beside_reports(export: str) -> tuple[str, ...]:
    """The names of what is made of an export in reports/models/<model>/."""
    return (export_verdict(export), export_table(export), *(name.format(export) for name in _EXPORT_LOGS))


_OF_EXPORTS = [name for export in EXPORTED for name in (*beside_frozen(export), *beside_reports(export))]

# The names of files that lie in a directory of their own, with the directory's, and of a record that lies beside that.
IN_DIRECTORIES = {
    name.rpartition("/")[2]: (name.rpartition("/")[0], export_record(export))
    for export in EXPORTED
    for name in EXPORTED[export]
    if "/" in name
}
MADE_FILES = frozenset(
    name.rpartition("/")[2] for name in (*OF_FROZEN, *OF_GRAPH, *OF_MODEL, *OF_JUDGED, *OF_STEPS, *OF_ZOO, *_OF_EXPORTS)
)

# The record of each stage that has one.
RECORDS = {"import_meta": IMPORT, "freeze": PROVENANCE, "verify": VERDICT, "list_ops": LISTING, "judge": JUDGED_VERDICT}
RECORDS |= {f"export_{export}": export_record(export) for export in EXPORTED}
RECORDS |= {f"judge_{export}": export_verdict(export) for export in EXPORTED}


def of_frozen(frozen: str | PathLike[str], model: str, name: str) -> str:
    """The path of a file of a model, one of OF_FROZEN, of OF_GRAPH or of an export, below the directory `frozen`."""
    return f"{fspath(frozen)}/{model}/{name}"


def of_model(reports: str | PathLike[str], model: str, name: str) -> str:
    """The path of a file of a model, of OF_MODEL, OF_JUDGED or an export, below the directory `reports`."""
    return f"{fspath(reports)}/{MODELS}/{model}/{name}"
