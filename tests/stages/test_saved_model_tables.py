"""Lookup tables of SavedModels of TensorFlow 2, from assets and from the checkpoint: the frozen graph has constants."""

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import word_modules
from by_loaders import check, compared, the_source
from exported_modules import edited, export
from fresh_process import in_fresh_process
from judged import verified
from permafrost import whole_files
from stages import frozen, imported, problem_of
from word_modules import Both, DenselyLearned, Growing, Learned, LearnedRows, ThereAndBack, Vocabulary

v1 = tf.compat.v1


def exported(kind, tmp_path: Path) -> Path:
    """A SavedModel of which the files that it was made from are gone."""
    directory = export(kind(tmp_path / "made"), tmp_path / "zoo" / "export")
    shutil.rmtree(tmp_path / "made", ignore_errors=True)
    return directory


def ops_in(path: Path) -> Counter:
    graph_def = v1.GraphDef.FromString((path / "frozen_graph.pb").read_bytes())
    functions = [node for function in graph_def.library.function for node in function.node_def]
    return Counter(node.op for node in [*graph_def.node, *functions])


# What fills the tables of each kind: from files, from the checkpoint, from constants in a function.
FILLINGS = {Vocabulary: (1, 0, 0), ThereAndBack: (2, 0, 0), Learned: (0, 1, 0), LearnedRows: (0, 2, 0), Both: (1, 1, 1)}


@pytest.mark.parametrize("kind", word_modules.FROZEN)
def test_tables_are_what_both_loaders_make_of_them(kind, tmp_path):
    _, provenance = check(exported(kind, tmp_path), tmp_path / "frozen")
    from_files, saved, constant = FILLINGS[kind]
    ops = ops_in(tmp_path / "frozen")
    assert (ops["InitializeTableV2"], ops["LookupTableImportV2"]) == (from_files, saved + constant)
    assert not {"InitializeTableFromTextFileV2", "RestoreV2", "VarHandleOp"} & set(ops)
    repairs = Counter(repair.repair for repair in provenance.repairs)
    assert (repairs["vocabulary embedded"], repairs["table embedded"]) == (from_files, saved)
    assert len(provenance.initializers) == from_files + saved + constant
    assert ("words.txt" in provenance.sha256) == bool(from_files)
    assert {tensor.key.rpartition("-")[2] for tensor in provenance.tensors} >= ({"keys", "values"} if saved else set())


@pytest.mark.parametrize("kind", word_modules.KERAS)
def test_words_of_keras_are_what_both_loaders_make_of_them(kind, tmp_path):
    _, provenance = check(exported(kind, tmp_path), tmp_path / "frozen")
    assert provenance.initializers and "InitializeTableFromTextFileV2" not in ops_in(tmp_path / "frozen")


def test_a_table_that_grows_is_what_both_loaders_make_of_it(tmp_path):
    """Both sides begin with what the checkpoint holds; no run sees what another one has put there."""
    record, _ = check(exported(Growing, tmp_path), tmp_path / "frozen")
    assert len(record.tables) == 1


def test_a_dense_table_that_is_saved_is_what_both_loaders_make_of_it(tmp_path):
    record, _ = check(exported(DenselyLearned, tmp_path), tmp_path / "frozen")
    assert len(record.tables) == 1 and not {"RestoreV2", "VarHandleOp"} & set(ops_in(tmp_path / "frozen"))


# What is missing, or leads elsewhere


def asset_of(directory: Path) -> Path:
    return directory / "assets" / "words.txt"


def test_an_asset_that_is_gone_is_missing(tmp_path):
    directory = exported(Vocabulary, tmp_path)
    asset_of(directory).unlink()
    problem = problem_of(lambda: frozen(imported(the_source(directory)), tmp_path / "frozen"))
    assert problem.cause == "missing_vocabulary" and "words.txt" in problem.message


def test_an_asset_that_leads_out_is_refused(tmp_path):
    directory = exported(Vocabulary, tmp_path)
    asset_of(directory).unlink()
    os.symlink("/etc/passwd", asset_of(directory))
    problem = problem_of(lambda: frozen(imported(the_source(directory)), tmp_path / "frozen"))
    assert problem.cause == "outside_zoo" and "/etc/passwd" in problem.message


def test_an_asset_named_by_a_way_out_is_refused(tmp_path):
    directory = exported(Vocabulary, tmp_path)

    def lead_out(meta_graph) -> None:
        meta_graph.asset_file_def[0].filename = "../../../../../../../../../../etc/passwd"

    problem = problem_of(lambda: frozen(imported(the_source(edited(directory, lead_out))), tmp_path / "frozen"))
    assert problem.cause == "outside_zoo" and "/etc/passwd" in problem.message


# What a function does besides


def function_of(meta_graph, start: str):
    return next(f for f in meta_graph.graph_def.library.function if f.signature.name.startswith(start))


def initializer_of(meta_graph):
    functions = (f for f in meta_graph.graph_def.library.function if f.signature.name.startswith("__inference__init"))
    return next(f for f in functions if any("TextFile" in node.op for node in f.node_def))


def constant(function, name: str, value) -> None:
    node = function.node_def.add(name=name, op="Const")
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    node.attr["dtype"].type = node.attr["value"].tensor.dtype


def run_too(function, name: str) -> None:
    function.control_ret[name] = name
    function.signature.control_output.append(name)


def write_a_file(meta_graph) -> None:
    function = initializer_of(meta_graph)
    constant(function, "file", "written")
    function.node_def.add(name="write_file", op="WriteFile", input=["file:output:0", "file:output:0"])
    run_too(function, "write_file")


def name_a_file(meta_graph) -> None:
    """The function reads a file of its own choice."""
    function = initializer_of(meta_graph)
    constant(function, "file", "/etc/passwd")
    (node,) = (node for node in function.node_def if "TextFile" in node.op)
    node.input[1] = "file:output:0"


def compute_the_name(meta_graph) -> None:
    function = initializer_of(meta_graph)
    (node,) = (node for node in function.node_def if "TextFile" in node.op)
    joined = function.node_def.add(name="joined", op="StringJoin", input=[node.input[1]])
    joined.attr["N"].i = 1
    node.input[1] = "joined:output:0"


def assign_twice(meta_graph) -> None:
    """Nobody knows which of two names the variable has when it is read."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    twin = meta_graph.graph_def.node.add()
    twin.CopyFrom(nodes["Variable/Assign"])
    twin.name = "again"


def read_at_once(meta_graph) -> None:
    """The variable is read before its assignment, or after it."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    nodes["ReadVariableOp"].input.remove("^Variable/Assign")


@pytest.mark.parametrize("edit", [write_a_file, name_a_file, compute_the_name, assign_twice, read_at_once])
def test_a_file_of_which_the_graph_does_not_tell_is_refused(edit, tmp_path):
    directory = edited(exported(Vocabulary, tmp_path), edit)
    problem = problem_of(lambda: frozen(imported(the_source(directory)), tmp_path / "frozen"))
    assert problem.cause == "unsupported_op" and "fills a table from a text file" in problem.message, problem.message


def import_of(meta_graph):
    function = function_of(meta_graph, "__inference__traced_restore")
    return function, next(node for node in function.node_def if node.op == "LookupTableImportV2")


def compute_the_values(meta_graph) -> None:
    """The table gets twice what the checkpoint holds."""
    function, node = import_of(meta_graph)
    function.node_def.add(name="twice", op="AddV2", input=[node.input[2]] * 2).attr[
        "T"
    ].type = tf.int64.as_datatype_enum
    node.input[2] = "twice:z:0"


def import_twice(meta_graph) -> None:
    function, node = import_of(meta_graph)
    twin = function.node_def.add()
    twin.CopyFrom(node)
    twin.name = "again"
    run_too(function, "again")


def insert_more(meta_graph) -> None:
    """After the restore, the same function puts something else into the table."""
    function, node = import_of(meta_graph)
    constant(function, "key", ["ice"])
    constant(function, "value", np.array([2], np.int64))
    inputs = [node.input[0], "key:output:0", "value:output:0", f"^{node.name}"]
    insert = function.node_def.add(name="insert", op="LookupTableInsertV2", input=inputs)
    insert.attr["Tin"].CopyFrom(node.attr["Tin"])
    insert.attr["Tout"].CopyFrom(node.attr["Tout"])
    run_too(function, "insert")


@pytest.mark.parametrize("edit", [compute_the_values, import_twice, insert_more])
def test_what_the_checkpoint_does_not_tell_of_a_table_is_refused(edit, tmp_path):
    directory = edited(exported(Learned, tmp_path), edit)
    problem = problem_of(lambda: frozen(imported(the_source(directory)), tmp_path / "frozen"))
    assert problem.cause == "unsupported_op" and "while the saver restores" in problem.message, problem.message


def test_a_graph_without_its_objects_keeps_its_functions(tmp_path):
    """Its functions would be frozen as they are, with what the restore function does."""
    directory = edited(exported(Learned, tmp_path), lambda m: m.object_graph_def.Clear())
    problem = problem_of(lambda: frozen(imported(the_source(directory)), tmp_path / "frozen"))
    assert problem.cause == "unsupported_op" and "while the saver restores" in problem.message, problem.message


def test_keys_and_values_are_told_by_the_function(tmp_path):
    """Two tables of one form, of which each restores what the other one saved."""

    def swap(meta_graph) -> None:
        function = function_of(meta_graph, "__inference__traced_restore")
        first, second = (node for node in function.node_def if node.op == "LookupTableImportV2")
        first.input[0], second.input[0] = second.input[0], first.input[0]

    class Two(Learned):
        def __init__(self, directory: Path):
            super().__init__(directory)
            self.other = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0)
            self.other.insert(tf.constant(["ice", "hail"]), tf.constant([1, 2], tf.int64))

    directory = edited(exported(Two, tmp_path), swap)
    record = imported(the_source(directory))
    provenance, path = frozen(record, tmp_path / "frozen")
    assert in_fresh_process(verified, record, provenance, path)["match"] == "bitwise"
    assert in_fresh_process(compared, str(directory), provenance, path, False) == {"serving_default": [True]}


# The judge


def other_value(graph_def) -> None:
    node = next(node for node in graph_def.node if node.name.endswith("/values"))
    held = node.attr["value"].tensor
    if held.int64_val:
        held.int64_val[3] += 1
    else:
        held.tensor_content = held.tensor_content[:-8] + bytes(8)


def other_key(graph_def) -> None:
    node = next(node for node in graph_def.node if node.name.endswith("/keys"))
    node.attr["value"].tensor.string_val[3] = b"hail"


def other_table(graph_def) -> None:
    """What fills the table fills another one of its form, and the one that is looked up in stays empty."""
    table = next(node for node in graph_def.node if node.op.endswith("HashTableV2"))
    twin = graph_def.node.add()
    twin.CopyFrom(table)
    twin.name, twin.attr["shared_name"].s = "twin", b"twin"
    filling = next(node for node in graph_def.node if node.op in ("InitializeTableV2", "LookupTableImportV2"))
    filling.input[0] = "twin"


def no_filling(graph_def) -> None:
    filling = next(node for node in graph_def.node if node.op in ("InitializeTableV2", "LookupTableImportV2"))
    del filling.input[:]
    filling.op = "NoOp"
    filling.ClearField("attr")


SEEN = {other_value: "weights_differ", other_key: "weights_differ", other_table: "structure_differs"}
SEEN |= {no_filling: "structure_differs"}


def words_of_the_judge(record, provenance, path: Path) -> list[tuple[str, str]]:
    """Status and cause for each change of what fills the table."""
    whole, found = path.read_bytes(), []
    for change in SEEN:
        graph_def = v1.GraphDef.FromString(whole)
        change(graph_def)
        path.write_bytes(graph_def.SerializeToString(deterministic=True))
        provenance.frozen_crc32c, provenance.frozen_bytes = whole_files.checksum(path), path.stat().st_size
        said = verified(record, provenance, path)
        found.append((said["status"], said["cause"]))
    return found


@pytest.mark.parametrize("kind", [Vocabulary, Learned])
def test_the_judge_sees_what_a_table_lacks(kind, tmp_path):
    record = imported(the_source(exported(kind, tmp_path)))
    found = in_fresh_process(words_of_the_judge, record, *frozen(record, tmp_path / "frozen"))
    assert found == [("mismatch", cause) for cause in SEEN.values()]
