"""steps.csv: which weights of a model changed since the step before, and by how much."""

from permafrost import layout
from permafrost.report.columns import Integer, Number, Table, Text

# How a tensor of one step stands to that of the other.
SAME, CHANGED, OTHER_SHAPE, NEW, GONE, UNREAD = "same", "changed", "other shape", "new", "gone", "unread"

STEPS = Table(
    layout.of_model("reports", "<model>", layout.STEPS),
    "a row for each weight of the frozen graph of a step that has a step before it in its series, and then for each "
    "other tensor of the two checkpoints; the most changed first",
    (
        Text("tensor", "its name in the checkpoint"),
        Text("frozen", "`yes` where it is in the frozen graph of this step"),
        Text("since", "the model that is the step before"),
        Text("change", "`changed`, `same`, `other shape`, `new`, `gone`, or `unread` where its bytes cannot be read"),
        Text("dtype", "its dtype"),
        Text("shape", "its shape, in this step where that has it"),
        Integer("elements", "how many numbers it has"),
        Integer("changed_elements", "how many of them have other bits"),
        Number("relative_change", "the norm of the difference as a share of the norm before; empty where that is 0"),
        Number("max_abs_change", "the largest difference of a number"),
    ),
)
