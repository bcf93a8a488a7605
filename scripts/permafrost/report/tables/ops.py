"""ops.csv and frozen_ops.csv: the ops of a model, before and after."""

from permafrost import layout
from permafrost.report.columns import Integer, Table, Text

OPS = Table(
    f"{layout.of_model('reports', '<model>', layout.OPS)}, {layout.FROZEN_OPS}",
    "a row for each op of the meta graph, and of the frozen graph",
    (
        Text("name", "the node's name"),
        Text("type", "its op type"),
        Text("output", "its tensors as TensorFlow prints them, joined by `; `"),
        Text("inputs", "the tensors that it takes, joined by `; `"),
        Text("control_inputs", "the nodes that must run before it, joined by `; `"),
        Text("device", "the device that it is bound to"),
        Text("dtypes", "the dtypes of its outputs, joined by `; `"),
        Text("shapes", "the shapes of its outputs, joined by `; `; `?` is what is not known"),
        Integer("bytes", "what a constant or a variable holds, in bytes"),
    ),
)
