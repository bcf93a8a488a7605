"""outputs.csv: all that could be an output of a model."""

from permafrost import layout
from permafrost.report.columns import Number, Table, Text

OUTPUTS = Table(
    layout.of_model("reports", "<model>", layout.OUTPUTS),
    "all that could be an output of the model, best first",
    (
        Text("output", "the tensor or node", lambda entry: entry["name"]),
        Text("chosen", "`yes` or `no`", lambda entry: "yes" if entry["chosen"] else "no"),
        Number("score", "how much speaks for it; empty where the settings name it"),
        Text("reasons", "what speaks for it and against it"),
    ),
)
