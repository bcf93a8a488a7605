"""SavedModels of TensorFlow 2: frozen by their own restore function, and compared with TensorFlow's loaders."""

from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

import exported_modules
from by_loaders import check, compared, the_source
from exported_modules import (
    DeeplyRagged,
    Dense,
    Draws,
    DrawsBeside,
    DrawsInALoop,
    Examples,
    Photographs,
    Ragged,
    RaggedWords,
    SameNames,
    Sparse,
    TwoCounters,
    Words,
    edited,
    export,
)
from fresh_process import in_fresh_process
from judged import rehearse, verified
from permafrost import input_kinds as kinds
from permafrost.freezer import passes
from permafrost.freezer.initialization import Initialization
from stages import frozen, imported, problem_of


@pytest.mark.parametrize("kind", exported_modules.MODULES)
def test_a_module_is_what_both_loaders_make_of_it(kind, tmp_path):
    check(export(kind(), tmp_path / "zoo" / "export"), tmp_path / "frozen")


@pytest.mark.parametrize("kind", exported_modules.KERAS)
def test_an_export_of_keras_is_what_both_loaders_make_of_it(kind, tmp_path):
    model = exported_modules.KERAS[kind]()
    record, provenance = check(export(model, tmp_path / "zoo" / "export"), tmp_path / "frozen")
    assert {"serve", "serving_default"} <= set(record.outputs_why.removeprefix("signature ").split(", "))
    assert len(provenance.tensors) < len(record.variables)  # each weight has several handles, of which one serves


@pytest.mark.parametrize("kind", [Ragged, DeeplyRagged, Sparse])
def test_parts_of_ragged_and_sparse_inputs_fit_together(kind, tmp_path):
    directory = export(kind(), tmp_path / "zoo" / "export")
    record = rehearse(imported(the_source(directory)))
    assert record.rehearsal == ""
    kinds = Counter(type(spec).__name__ for spec in record.inputs.values())
    assert kinds["RowSplits"] == {Ragged: 1, DeeplyRagged: 2, Sparse: 0}[kind]
    assert (kinds["Indices"], kinds["Sizes"]) == ((1, 1) if kind is Sparse else (0, 0))
    assert in_fresh_process(verified, record, *frozen(record, tmp_path / "frozen"))["match"] == "bitwise"


CONTENTS = {
    Words: kinds.Words(["ice", "snow", "fog"]),
    RaggedWords: kinds.Words(["ice", "snow"]),
    Photographs: kinds.PngImage(3),
    Examples: kinds.SerializedExample([kinds.Feature("word", "string", 1), kinds.Feature("x", "float32", 3)]),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_what_a_function_takes_tells_what_strings_are(kind, tmp_path):
    record = rehearse(imported(the_source(export(kind(), tmp_path / "zoo" / "export"))))
    assert record.rehearsal == ""
    found = [spec.content for spec in record.inputs.values() if isinstance(spec, kinds.Strings)]
    assert found == [CONTENTS[kind]]
    assert in_fresh_process(verified, record, *frozen(record, tmp_path / "frozen"))["match"] == "bitwise"


def test_signatures_that_no_run_has_in_order_are_not_frozen_together(tmp_path):
    directory = export(TwoCounters(), tmp_path / "zoo" / "export")
    record = rehearse(imported(the_source(directory)))
    assert record.outputs_why == "signature serving_default" and len(record.outputs) == 1
    assert "signature more, serving_default cannot be frozen in one graph" in record.findings[-1]
    assert in_fresh_process(verified, record, *frozen(record, tmp_path / "frozen"))["match"] == "bitwise"


def test_a_model_without_a_signature_has_no_output(tmp_path):
    module = tf.Module()
    module.w = tf.Variable([1.0])
    tf.saved_model.save(module, str(tmp_path / "zoo" / "export"))
    problem = problem_of(imported, the_source(tmp_path / "zoo" / "export"))
    assert problem.cause == "no_output" and "has no signature" in problem.message and "signatures=" in problem.hint


@pytest.mark.parametrize("kind", [Draws, DrawsInALoop])
def test_a_generator_is_refused_by_its_name(kind, tmp_path):
    """What it draws next, a graph without variables cannot keep."""
    problem = problem_of(imported, the_source(export(kind(), tmp_path / "zoo" / "export")))
    assert problem.cause == "unsupported_op" and "draws from a random generator" in problem.message, problem.message
    assert "RngReadAndSkip" in problem.message and "tf.random.stateless_" in problem.hint


def test_what_does_without_the_generator_is_frozen(tmp_path):
    record = imported(the_source(export(DrawsBeside(), tmp_path / "zoo" / "export")))
    assert len(record.outputs) == 1
    provenance, _ = frozen(record, tmp_path / "frozen")
    assert [tensor.key for tensor in provenance.tensors] == ["w/.ATTRIBUTES/VARIABLE_VALUE"]


def function_of(meta_graph, start: str):
    return next(f for f in meta_graph.graph_def.library.function if f.signature.name.startswith(start))


def restore_of(meta_graph) -> tuple[Any, dict[str, Any]]:
    function = function_of(meta_graph, "__inference__traced_restore")
    return function, {node.name: node for node in function.node_def}


def swap_keys(meta_graph) -> None:
    """Each of two variables of one shape restores what the other one saved."""
    _, nodes = restore_of(meta_graph)
    keys = nodes["RestoreV2/tensor_names"].attr["value"].tensor.string_val
    keys[0], keys[1] = keys[1], keys[0]


def compute(meta_graph) -> None:
    """The first variable restores twice what the checkpoint holds."""
    function, nodes = restore_of(meta_graph)
    function.node_def.add(name="twice", op="AddV2", input=["Identity:output:0"] * 2).attr["T"].type = 1
    nodes["AssignVariableOp"].input[1] = "twice:z:0"


def restore_another_handle(meta_graph) -> None:
    """The function assigns to a handle of its own making, which is that of the graph's variable by its name."""
    function, nodes = restore_of(meta_graph)
    (variable,) = [n for n in meta_graph.graph_def.node if n.name == "w"]
    made = function.node_def.add()
    made.CopyFrom(variable)
    made.name = "again"
    nodes["AssignVariableOp"].input[0] = "again:resource:0"


def add_up(meta_graph) -> None:
    """After the restore, the same function adds to a variable."""
    function, nodes = restore_of(meta_graph)
    node = function.node_def.add()
    node.CopyFrom(nodes["AssignVariableOp"])
    node.name, node.op = "more", "AssignAddVariableOp"
    node.attr.pop("validate_shape", None)
    node.input.append("^AssignVariableOp")
    function.control_ret["more"] = "more"
    function.signature.control_output.append("more")


def restore_in_a_cond(meta_graph) -> None:
    """Whether anything is restored depends on a cond."""
    (call,) = [n for n in meta_graph.graph_def.node if n.name == meta_graph.saver_def.restore_op_name]
    flag = meta_graph.graph_def.node.add(name="flag", op="Const")
    flag.attr["dtype"].type = 10
    flag.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(True))
    function = call.attr["f"].func.name
    types = call.attr["Tin"].list.type[:], call.attr["Tout"].list.type[:]
    call.op = "If"
    call.ClearField("attr")
    call.input.insert(0, "flag")
    call.attr["Tcond"].type = 10
    call.attr["Tin"].list.type.extend(types[0])
    call.attr["Tout"].list.type.extend(types[1])
    call.attr["then_branch"].func.name = call.attr["else_branch"].func.name = function


def lose_the_saver(meta_graph) -> None:
    meta_graph.ClearField("saver_def")


def lose_the_variables(meta_graph) -> None:
    function, _ = restore_of(meta_graph)
    del function.node_def[:]
    function.ret["identity_3"] = "file_prefix"
    function.control_ret.clear()
    del function.signature.control_output[:]


def write_when_loaded(meta_graph) -> None:
    """What fills the table adds to the embedding as well."""
    (call,) = [n for n in meta_graph.graph_def.node if "_initializer_" in n.attr["f"].func.name]
    (table,) = [n for n in meta_graph.graph_def.node if n.op == "VarHandleOp" and n.attr["dtype"].type == 1]
    function = function_of(meta_graph, "__inference__initializer")
    call.input.append(table.name)
    call.attr["Tin"].list.type.append(20)
    function.signature.input_arg.add(name="handle", type=20)
    one = function.node_def.add(name="one", op="Const")
    one.attr["dtype"].type = 1
    one.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.ones([5, 3], np.float32)))
    write = function.node_def.add(name="write", op="AssignAddVariableOp", input=["handle", "one:output:0"])
    write.attr["dtype"].type = 1
    function.control_ret["write"] = "write"
    function.signature.control_output.append("write")


REFUSED = {
    compute: (Dense, "missing_variable", "does not restore it"),
    restore_another_handle: (Dense, "unsupported_op", "while the saver restores"),
    add_up: (Dense, "unsupported_op", "'more' (AssignAddVariableOp)"),
    restore_in_a_cond: (Dense, "saved_model", "restores no variables"),
    lose_the_saver: (Dense, "tf2_checkpoint", "does not restore its variables"),
    lose_the_variables: (Dense, "saved_model", "restores no variables"),
    write_when_loaded: (Words, "unsupported_op", "'write' (AssignAddVariableOp)"),
}


@pytest.mark.parametrize("edit", REFUSED)
def test_what_a_loader_does_beside_the_plain_is_refused(edit, tmp_path):
    kind, cause, words = REFUSED[edit]
    directory = edited(export(kind(), tmp_path / "zoo" / "export"), edit)
    problem = problem_of(lambda: frozen(imported(the_source(directory)), tmp_path / "frozen"))
    assert problem.cause == cause and words in problem.message, problem.message


def word_of_the_judge(directory: Path, frozen_in: Path) -> tuple[str, str, bool]:
    """The judge's cause and message on what a freezer that overlooks it makes, and whether the outputs differ."""
    overlooking = mock.patch.multiple(Initialization, refuse_changes=mock.DEFAULT, refuse_other_fillings=mock.DEFAULT)
    with overlooking, mock.patch.object(passes, "refuse_written_by_initializers"):
        record = imported(the_source(directory))
        provenance, path = frozen(record, frozen_in)
    found = verified(record, provenance, path)
    return found["cause"], found["message"], compared(str(directory), provenance, path, False)["serving_default"][0]


@pytest.mark.parametrize("edit", [add_up, write_when_loaded])
def test_the_judge_sees_it_by_itself(edit, tmp_path):
    directory = edited(export(REFUSED[edit][0](), tmp_path / "zoo" / "export"), edit)
    cause, message, is_same = in_fresh_process(word_of_the_judge, directory, tmp_path / "frozen")
    assert cause == "structure_differs" and "does not have" in message, message
    assert not is_same


def assign_when_loaded(meta_graph, name: str) -> None:
    """The loader calls a function that assigns to the variable `name`, which is made where the graph lacks it."""
    graph_def = meta_graph.graph_def
    if not any(node.name == name for node in graph_def.node):
        variable = graph_def.node.add(name=name, op="VarHandleOp")
        variable.attr["shared_name"].s = name.encode()
        variable.attr["dtype"].type = 1
        variable.attr["shape"].shape.dim.add(size=3)
    function = graph_def.library.function.add()
    function.signature.name = "assigning"
    function.signature.is_stateful = True
    function.signature.input_arg.add(name="handle", type=20)
    value = function.node_def.add(name="value", op="Const")
    value.attr["dtype"].type = 1
    value.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.ones([3], np.float32)))
    function.node_def.add(name="assign", op="AssignVariableOp", input=["handle", "value:output:0"])
    function.node_def[-1].attr["dtype"].type = 1
    function.control_ret["assign"] = "assign"
    function.signature.control_output.append("assign")
    call = graph_def.node.add(name="call", op="StatefulPartitionedCall", input=[name])
    call.attr["Tin"].list.type.append(20)
    call.attr["Tout"].list.SetInParent()
    call.attr["f"].func.name = "assigning"
    (last,) = [node for node in graph_def.node if node.name == "NoOp"]
    last.input.append("^call")


def test_what_a_loader_writes_that_no_output_sees_is_nothing(tmp_path):
    directory = edited(export(Dense(), tmp_path / "zoo" / "export"), lambda m: assign_when_loaded(m, "unseen"))
    record = rehearse(imported(the_source(directory)))
    assert in_fresh_process(verified, record, *frozen(record, tmp_path / "frozen"))["match"] == "bitwise"


def test_what_a_loader_writes_that_an_output_sees_is_refused(tmp_path):
    directory = edited(export(Dense(), tmp_path / "zoo" / "export"), lambda m: assign_when_loaded(m, "b"))
    problem = problem_of(imported, the_source(directory))
    assert problem.cause == "unsupported_op" and "'assign' (AssignVariableOp)" in problem.message
    cause, message, is_same = in_fresh_process(word_of_the_judge, directory, tmp_path / "frozen")
    assert (cause, is_same) == ("structure_differs", False) and "in the loader" in message


def write_a_file(function, path: Path) -> None:
    """Has a function of a SavedModel write a file whenever it runs."""
    for name, value in (("file", str(path)), ("text", "written")):
        constant = function.node_def.add(name=name, op="Const")
        constant.attr["dtype"].type = 7
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    function.node_def.add(name="write_file", op="WriteFile", input=["file:output:0", "text:output:0"])
    function.control_ret["write_file"] = "write_file"
    function.signature.control_output.append("write_file")


@pytest.mark.parametrize("start", ["__inference__traced_restore", "__inference__initializer", "__inference___call__"])
def test_no_function_of_a_stranger_writes_a_file(start, tmp_path):
    directory, path = export(Words(), tmp_path / "zoo" / "export"), tmp_path / "file"
    edited(directory, lambda meta_graph: write_a_file(function_of(meta_graph, start), path))
    record = imported(the_source(directory)) if start == "__inference___call__" else None
    if record is None:
        problem = problem_of(imported, the_source(directory))
        assert problem.cause == "unsupported_op" and "(WriteFile)" in problem.message
    else:
        record = rehearse(record)
        assert "(WriteFile) writes files" in record.rehearsal
        found = in_fresh_process(verified, record, *frozen(record, tmp_path / "frozen"))
        assert (found["status"], found["cause"]) == ("unverifiable", "unsafe_op"), found
    assert not path.exists()


def test_variables_are_told_by_their_handles_and_keys(tmp_path):
    directory = edited(export(SameNames(), tmp_path / "zoo" / "export"), swap_keys)
    record = imported(the_source(directory))
    provenance, path = frozen(record, tmp_path / "frozen")
    assert len({variable.key for variable in record.variables}) == 3
    assert in_fresh_process(compared, str(directory), provenance, path, False) == {"serving_default": [True]}
    assert in_fresh_process(compared, str(directory), provenance, path)["serving_default"] == [True, False]
