"""findings.csv: what a careful colleague would warn about."""

from msgspec import Struct

from permafrost import layout
from permafrost.report.columns import MODEL, Table, Text

SEVERITIES = ERROR, WARNING, INFO = "error", "warning", "info"


class Finding(Struct, frozen=True):
    """What is said of a node or variable: the columns of FINDINGS; model: its id, or "" where that goes by itself."""

    severity: str
    finding: str
    node: str
    advice: str
    model: str = ""


FINDINGS = Table(
    f"reports/{layout.FINDINGS}",
    "what a careful colleague would warn about; each model has its own in "
    f"{layout.of_model('reports', '<model>', layout.MODEL_FINDINGS)}",
    (
        Text("model", MODEL),
        Text("severity", "`error`, `warning` or `info`"),
        Text("finding", "what it is, in one word; docs/findings.md lists them all"),
        Text("node", "the node or variable that it is about"),
        Text("advice", "what it means, and what to do"),
    ),
)
