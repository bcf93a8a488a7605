"""Which weights changed between two steps, compared with what numpy says of what TensorFlow wrote."""

import json

import numpy as np
import tensorflow as tf

import compare_steps
from permafrost.records import ImportRecord, Provenance
from permafrost.report import csv_files, step_comparison
from written_records import whole

v1 = tf.compat.v1


def saved(path, **tensors) -> str:
    """The prefix of a checkpoint with these tensors, which TensorFlow writes without a graph."""
    names, slices = sorted(tensors), [""] * len(tensors)
    with tf.Graph().as_default(), v1.Session() as session:
        values = [tf.constant(tensors[name]) for name in names]
        session.run(tf.raw_ops.SaveV2(prefix=str(path), tensor_names=names, shape_and_slices=slices, tensors=values))
    return str(path)


def test_changes_are_those_of_the_numbers(tmp_path):
    draw = np.random.default_rng(1)
    kernel, large = draw.normal(size=(3, 4)).astype(np.float32), draw.normal(size=(600, 600))
    moved, other = kernel.copy(), large + 0.01
    moved[1] += 0.5
    before = saved(
        tmp_path / "m-1", kernel=kernel, large=large, same=np.zeros(3), step=np.int64(4), gone=1.0, shaped=[1.0],
        half=np.float16([1, 2]), text=[b"a", b"b"], complex=np.complex64([3 + 4j]), nan=np.float32([np.nan]),
    )  # fmt: skip
    after = saved(
        tmp_path / "m-2", kernel=moved, large=other, same=np.zeros(3), step=np.int64(9), new=1.0, shaped=[1.0, 2.0],
        half=np.float16([1, 3]), text=[b"a", b"c"], complex=np.complex64([3 + 5j]), nan=np.float32([np.nan]),
    )  # fmt: skip
    rows = {row["tensor"]: row for row in step_comparison.compare(before, after, "m-1", {"kernel", "same"})}
    assert {name: row["change"] for name, row in rows.items()} == {
        "kernel": "changed", "large": "changed", "same": "same", "step": "changed", "gone": "gone", "new": "new",
        "shaped": "other shape", "half": "changed", "text": "changed", "complex": "changed", "nan": "same",
    }  # fmt: skip
    assert rows["kernel"]["changed_elements"] == 4 and rows["kernel"]["elements"] == 12
    for name, old, new in (("kernel", kernel, moved), ("large", large, other)):
        doubles = new.astype(np.float64) - old.astype(np.float64)
        share = np.linalg.norm(doubles) / np.linalg.norm(old.astype(np.float64))
        assert np.isclose(rows[name]["relative_change"], share, rtol=1e-9)
        assert rows[name]["max_abs_change"] == np.abs(doubles).max()
    assert rows["complex"]["relative_change"] == 0.2 and rows["step"]["max_abs_change"] == 5.0
    assert list(rows)[:2] == ["kernel", "same"], "what is frozen comes first"


def test_a_norm_of_nothing_has_no_share(tmp_path):
    one, other = saved(tmp_path / "a", w=np.zeros(2)), saved(tmp_path / "b", w=np.ones(2))
    (row,) = step_comparison.compare(one, other, "a", ())
    assert row["relative_change"] is None and row["max_abs_change"] == 1.0


def test_a_tensor_whose_bytes_are_damaged_is_unread(tmp_path):
    one, other = saved(tmp_path / "a", w=np.zeros(99)), saved(tmp_path / "b", w=np.ones(99))
    data = tmp_path / "b.data-00000-of-00001"
    data.write_bytes(b"\xff" + data.read_bytes()[1:])
    assert [row["change"] for row in step_comparison.compare(one, other, "a", ())] == ["unread"]


def test_the_program_writes_no_rows_where_a_step_could_not_be_imported(tmp_path, capsys):
    prefixes = [saved(tmp_path / name, w=np.zeros(2)) for name in "ab"]
    paths = [tmp_path / f"{name}.json" for name in "ab"]
    for path, prefix in zip(paths, prefixes, strict=True):
        path.write_text(json.dumps(whole(ImportRecord, prefix=prefix) | {"model": path.stem}))
    provenance = tmp_path / "provenance.json"
    provenance.write_text(json.dumps(whole(Provenance)))
    told = ["--before", str(paths[0]), "--import-record", str(paths[1]), "--provenance", str(provenance)]
    table = tmp_path / "steps.csv"
    assert compare_steps.main([*told, str(table)]) == 0
    assert [row["since"] for row in csv_files.read_rows(table)] == ["a"]
    (tmp_path / "a.index").unlink()
    assert compare_steps.main([*told, str(table)]) == 0
    assert csv_files.read_rows(table) == [] and "not compared" in capsys.readouterr().err
    paths[0].unlink()
    assert compare_steps.main([*told, str(table)]) == 0 and csv_files.read_rows(table) == []
