"""What a table's initializer does to another table or variable is nothing that a frozen graph has: it is refused.

Each graph has a feed on which TensorFlow shows it, and the judge refuses a frozen graph that was made none the less.
"""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import kinds
from changed_state import (
    constant_table,
    filled,
    found,
    frozen_against_the_rules,
    frozen_value,
    give,
    given,
    insert,
    judged,
    mutable,
    saved,
    start,
)
from fresh_process import in_fresh_process
from permafrost.model import Model
from stages import frozen, imported, problem_of

raw = tf.raw_ops


def looked_up(late, table):
    """What is in the table, where it is late; else it is not asked."""
    key = raw.Switch(data=tf.constant(5, tf.int64), pred=late > 0.0)
    value = raw.LookupTableFindV2(table_handle=table, keys=key[1], default_value=tf.constant(0.0))
    return raw.Merge(inputs=[tf.cast(key[0], tf.float32) * 0.0, value]).output


def twin_of_a_filled_table() -> None:
    x, w, late = start()
    filled(constant_table("first"), tf.constant([7.0]))
    tf.add(x * w, looked_up(late, constant_table("second")), name="y")


def filled_table_in_a_branch() -> None:
    filled(constant_table("first"), tf.constant([7.0]))
    x, w, late = start()
    with kinds.control_flow(2):
        kept = tf.cond(late > 0.0, lambda: found(constant_table("second")), lambda: tf.constant(0.0))
    tf.add(x * w, kept, name="y")


def variable_written_by_a_filling() -> None:
    x, w, late = start()
    other = kinds.weights("other", [3], True)
    with tf.control_dependencies([raw.AssignAddVariableOp(resource=other.handle, value=tf.ones([3]))]):
        values = tf.constant([7.0]) * 1.0
    table = constant_table("table")
    filled(table, values)
    tf.add(x * w * found(table), late * other.read_value(), name="y")


def variable_written_in_a_function() -> None:
    x, w, late = start()
    other = kinds.weights("other", [3], True)

    def values(handle):
        with tf.control_dependencies([raw.AssignAddVariableOp(resource=handle, value=tf.ones([3]))]):
            return tf.constant([7.0]) * 1.0

    concrete = tf.function(values, autograph=False).get_concrete_function(tf.TensorSpec([], tf.resource))
    concrete.add_to_graph()
    table = constant_table("table")
    filled(table, raw.StatefulPartitionedCall(args=[other.handle], Tout=[tf.float32], f=concrete)[0])
    tf.add(x * w * found(table), late * other.read_value(), name="y")


def outcome_of_a_filling(source: Model, directory: Path) -> tuple:
    """As words_about; a frozen graph that does not run at all is another than TensorFlow's, too."""
    refused = problem_of(frozen, imported(source, outputs=["y"]), directory)
    record, provenance, path = frozen_against_the_rules(source, directory)
    word = problem_of(judged, record, provenance, path)
    theirs = given(record.meta, record.prefix, initializer="fill")
    try:
        differs = not np.allclose(theirs, frozen_value(path, provenance.initializers))
    except tf.errors.OpError:
        differs = True
    return refused.cause, word.cause, differs, "fill" in refused.message + word.message


@pytest.mark.parametrize(
    "build",
    [
        twin_of_a_filled_table, filled_table_in_a_branch, variable_written_by_a_filling, variable_written_in_a_function,
    ],
)  # fmt: skip
def test_what_filling_a_table_does_elsewhere_is_refused(build, tmp_path):
    found = in_fresh_process(outcome_of_a_filling, saved(build, tmp_path, restoring=False), tmp_path / "frozen")
    assert found == ("unsupported_op", "structure_differs", True, True)


def two_nodes_each_filled() -> None:
    """As two tables of one vocabulary file are: each has an initializer of its own."""
    first, second = constant_table("first"), constant_table("second")
    filled(first, tf.constant([7.0]), "fill")
    filled(second, tf.constant([7.0]), "fill_again")
    give(found(first) + found(second))


def filling_that_fills_another() -> None:
    table = constant_table("table")
    with tf.control_dependencies([insert(mutable())]):
        values = tf.constant([7.0]) * 1.0
    filled(table, values)
    give(found(table) + found(mutable("other", "else")))


def filled_and_same(source: Model, directory: Path) -> tuple[str, bool]:
    record = imported(source, outputs=["y"])
    provenance, path = frozen(record, directory)
    ours = frozen_value(path, provenance.initializers)
    found = judged(record, provenance, path)
    return found.get("finding", ""), np.allclose(given(record.meta, record.prefix, initializer="fill"), ours)


@pytest.mark.parametrize("build", [two_nodes_each_filled, filling_that_fills_another])
def test_a_table_with_an_initializer_of_its_own_is_kept(build, tmp_path):
    source = saved(build, tmp_path, restoring=False)
    assert in_fresh_process(filled_and_same, source, tmp_path / "frozen") == ("", True)
