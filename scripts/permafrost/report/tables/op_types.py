"""op_types.csv: how many ops of each type a model has, before and after."""

from permafrost import layout
from permafrost.report.columns import MODEL, Integer, Table, Text

OP_TYPES = Table(
    f"reports/{layout.OP_TYPES}",
    "a row for each op type of each model",
    (
        Text("op_type", "the op type"),
        Text("model", MODEL),
        Integer("nodes", "nodes of this type in the meta graph; empty where it could not be read"),
        Integer("frozen_nodes", "nodes of this type in the frozen graph; empty where there is none"),
    ),
)
