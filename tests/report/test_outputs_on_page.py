"""What the page says of outputs: numbered twins in one row, what was chosen apart, and what each means."""

import pytest

from permafrost.report import output_meanings
from permafrost.report.page import outputs


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tower_0/logits", "tower_1/logits"), ("out", "out_3"), ("a/b:0", "a/b_1:0"), ("d_1/MatMul", "d/MatMul"),
        ("net0/x", "net1/x"), ("while/Exit_1", "while/Exit_12"),
    ],
)  # fmt: skip
def test_numbered_twins_are_of_one_kind(one, other):
    assert outputs.kind(one) == outputs.kind(other)


@pytest.mark.parametrize(
    ("one", "other"), [("logits", "labels"), ("a/out", "b/out"), ("conv2d", "conv3d/x"), ("x:0", "x")]
)
def test_others_are_not(one, other):
    assert outputs.kind(one) != outputs.kind(other)


def test_twins_are_one_row_and_all_are_settings():
    rows = [{"output": f"tower_{n}/out", "chosen": "no", "score": "1.5", "reasons": "r"} for n in range(6)]
    rows.append({"output": "mine", "chosen": "yes", "score": "", "reasons": "named in the settings"})
    found = outputs.tables(rows)
    assert found["outputs"] == {"columns": ["output", "reasons"], "rows": [["mine", "named in the settings"]], "of": 1}
    (row,) = found["alternatives"]["rows"]
    assert row == ["tower_0/out (also tower_1/out, tower_2/out, tower_3/out and 2 more)", 1.5, "r"]
    assert found["ranking"][0] == ["mine", True] and len(found["ranking"]) == 7


def test_an_output_means_what_the_op_behind_it_gives():
    nodes = {
        "x": {"type": "Softmax", "inputs": "", "dtypes": "float32", "shapes": "[?, 3]"},
        "y": {"type": "Reshape", "inputs": "x; shape", "dtypes": "float32", "shapes": "[?, 3]"},
        "top": {"type": "TopKV2", "inputs": "x; k", "dtypes": "float32; int32", "shapes": "[?, 2]; [?, 2]"},
        "loop": {"type": "Identity", "inputs": "loop"},
    }
    assert "sum to 1" in output_meanings.meaning("y", nodes)
    assert output_meanings.described("top:1", nodes)["dtype"] == "int32"
    assert output_meanings.described("top:7", nodes)["shape"] == ""
    assert output_meanings.meaning("loop", nodes) == output_meanings.meaning("missing", nodes) == ""
