"""changes.csv: what is other than in the last finished run."""

from permafrost import layout
from permafrost.report.columns import MODEL, Table, Text

# In the order in which they matter.
KINDS = WORSE, NEW, GONE, BETTER, CHANGED = "worse", "new", "gone", "better", "changed"

CHANGES = Table(
    f"reports/{layout.CHANGES}",
    "what is other than in the last finished run, the worst first; without such a run all models are new",
    (
        Text("model", MODEL),
        Text("change", "`new`, `gone`, `worse` or `better` (of the status), or `changed` (of any other column)"),
        Text("column", "the column of summary.csv that changed; `status` for models new and gone"),
        Text("before", "its value in the last finished run; empty for a new model"),
        Text("after", "its value now; empty for a model that is gone"),
    ),
)
