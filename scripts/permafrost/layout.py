"""The names of all files that the pipeline makes, and where those of a model lie."""

from os import PathLike, fspath

# In frozen/<model>/
FROZEN_GRAPH = "frozen_graph.pb"
PROVENANCE = "provenance.json"
OF_FROZEN = (PROVENANCE, FROZEN_GRAPH)

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

# In reports/
SUMMARY = "summary.csv"
CHANGES = "changes.csv"
FINDINGS = "findings.csv"
ZOO = "zoo.csv"
OP_TYPES = "op_types.csv"
TIMINGS = "timings.csv"
JUDGED = "judged.csv"
PAGE = "index.html"
SETTINGS = "settings.yaml"
STATE = ".zoo.json"
LAST_SUMMARY = ".last_summary.csv"
LOCK = ".lock"
OF_ZOO = (
    SUMMARY, CHANGES, FINDINGS, ZOO, OP_TYPES, TIMINGS, JUDGED, PAGE, SETTINGS, STATE, LAST_SUMMARY, LOCK,
    "gate.txt", "judged.txt", "discover.log", "summarize.log", "changes.log", "page.log", "gate.log",
    "list_judged.log", "judged.log", "settings.log",
)  # fmt: skip

MADE_FILES = frozenset((*OF_FROZEN, *OF_MODEL, *OF_JUDGED, *OF_ZOO))

# The record of each stage that has one.
RECORDS = {"import_meta": IMPORT, "freeze": PROVENANCE, "verify": VERDICT, "list_ops": LISTING, "judge": JUDGED_VERDICT}


def of_frozen(frozen: str | PathLike[str], model: str, name: str) -> str:
    """The path of a file of a model, one of OF_FROZEN, below the directory `frozen`."""
    return f"{fspath(frozen)}/{model}/{name}"


def of_model(reports: str | PathLike[str], model: str, name: str) -> str:
    """The path of a file of a model, one of OF_MODEL or OF_JUDGED, below the directory `reports`."""
    return f"{fspath(reports)}/{MODELS}/{model}/{name}"
