"""variables.csv: the variables of a model, and the checkpoint key of each."""

from permafrost import layout
from permafrost.report.columns import Integer, Row, Table, Text


def _shape(variable: Row) -> str | None:
    return None if variable.get("shape") is None else str(variable["shape"])


VARIABLES = Table(
    layout.of_model("reports", "<model>", layout.VARIABLES),
    "a row for each variable of the meta graph",
    (
        Text("variable", "the variable's node"),
        Text("op", "its op type"),
        Text("dtype", "its dtype"),
        Text("shape", "its shape", _shape),
        Integer("bytes", "the size of its value, in bytes"),
        Text("key", "the name of its tensor in the checkpoint; empty where it has none"),
        Text("slice", "the part of that tensor, where the variable is a slice"),
        Text("frozen", "`yes` where its value is in the frozen graph"),
    ),
)
