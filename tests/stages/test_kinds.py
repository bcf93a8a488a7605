"""Every kind of model: the same bytes as TensorFlow where that is right, a verified repair where it is not."""

import pytest
import tensorflow as tf

import kinds
from frozen_by_tensorflow import frozen_by_tensorflow, with_our_names
from judged import check_judgement, saved, usable
from permafrost.freezer import scatters, writes
from permafrost.graph.metagraph import read_meta_graph
from permafrost.judge.structure import nodes
from stages import frozen, imported, problem_of, sources


@pytest.mark.parametrize("kind", kinds.SAME)
def test_the_same_bytes_as_tensorflow(kind, tmp_path):
    record = imported(saved(kinds.SAME[kind], tmp_path), outputs=["out"])
    provenance, path = frozen(record, tmp_path / "frozen")
    ours = path.read_bytes()
    assert with_our_names(frozen_by_tensorflow(record.prefix, record.meta, ["out"]), ours) == ours
    assert not provenance.repairs
    check_judgement(record, provenance, path)


@pytest.mark.parametrize("version", ["V1", "V2"])
@pytest.mark.parametrize("sharded", [False, True])
def test_the_same_bytes_in_every_format(version, sharded, tmp_path):
    options = {"write_version": getattr(tf.compat.v1.train.SaverDef, version), "sharded": sharded}
    record = imported(saved(kinds.partitioned(0, 3), tmp_path, **options), outputs=["out"])
    ours = frozen(record, tmp_path / "frozen")[1].read_bytes()
    assert ours == frozen_by_tensorflow(record.prefix, record.meta, ["out"])


@pytest.mark.parametrize("kind", kinds.REPAIRED)
def test_right_where_tensorflow_is_not(kind, tmp_path):
    record = imported(saved(kinds.REPAIRED[kind], tmp_path), outputs=["out"])
    provenance, path = frozen(record, tmp_path / "frozen")
    # TensorFlow stumbles over a variable as a cond's predicate, though nothing is to be repaired there.
    assert provenance.repairs or kind == "tflearn's dropout"
    check_judgement(record, provenance, path)
    assert not usable(record)


def test_a_resource_variable_is_read_by_a_node_of_any_name(tmp_path):
    """freeze_graph looks for `<variable>/Read/ReadVariableOp` alone."""
    source = saved(kinds.plain(True), tmp_path)
    meta_graph = read_meta_graph(source.meta)
    kept = [node for node in meta_graph.graph_def.node if not node.name.endswith("/Read/ReadVariableOp")]
    assert len(kept) < len(meta_graph.graph_def.node)
    for node in kept:
        node.name = node.name.replace("ReadVariableOp", "Fetched")
        node.input[:] = [text.replace("ReadVariableOp", "Fetched") for text in node.input]
    del meta_graph.graph_def.node[:]
    meta_graph.graph_def.node.extend(kept)
    with open(source.meta, "wb") as file:
        file.write(meta_graph.SerializeToString())
    record = imported(sources(tmp_path)["model.ckpt"], outputs=["out"])
    with pytest.raises((KeyError, ValueError)):
        frozen_by_tensorflow(record.prefix, record.meta, ["out"])
    check_judgement(record, *frozen(record, tmp_path / "frozen"))


@pytest.mark.parametrize("kind", kinds.REFUSED)
def test_what_nobody_can_freeze_is_refused(kind, tmp_path):
    build, cause = kinds.REFUSED[kind]
    problem = problem_of(lambda: frozen(imported(saved(build, tmp_path), outputs=["out"]), tmp_path / "frozen"))
    assert problem.cause == cause and "'" in problem.message and problem.hint
    assert not list(tmp_path.glob("frozen/*"))


WRITTEN = [kind for kind in kinds.REFUSED if kind.startswith(("alias", "write"))]


@pytest.mark.parametrize("kind", WRITTEN)
def test_the_judge_knows_by_itself_what_the_freezer_refuses(kind, tmp_path, monkeypatch):
    """A freezer that froze it all the same would be found out by the structure, whatever the trials show."""
    for name in ("_check_alias", "_refuse"):
        monkeypatch.setattr(writes._Settling, name, lambda *args: None)
    monkeypatch.setattr(writes, "_refuse_twins", lambda *args: None)
    monkeypatch.setattr(scatters, "refuse", lambda *args: None)
    record = imported(saved(kinds.REFUSED[kind][0], tmp_path), outputs=["out"])
    provenance, path = frozen(record, tmp_path / "frozen")
    graph_def = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    problem = problem_of(nodes.check, read_meta_graph(record.meta), graph_def, provenance.cuts, ["out"])
    assert problem.cause == "structure_differs"


def parts(graph_def):
    """Each node of a graph and of its functions, with what it is in."""
    yield from (("graph", node) for node in graph_def.node)
    for function in graph_def.library.function:
        yield from ((function.signature.name, node) for node in function.node_def)


CHECKED = [
    "cond over resources", "functional cond over resources", "functional switch", "function that captures",
    "functional loop over resources", "cond in a loop, functional", "gather in a function", "read after a write",
    "reference ops", "lookup table", "queue", "padding row", "scattered twice", "scattered in a function",
    "scatter_mul, resource", "ScatterNdAdd, resource",
]  # fmt: skip


@pytest.mark.parametrize("kind", CHECKED)
def test_the_structure_of_each_node_is_checked(kind, tmp_path):
    """Whatever is done to one node of what the outputs need, in the graph or in a function, is noticed."""
    record = imported(saved((kinds.SAME | kinds.REPAIRED)[kind], tmp_path), outputs=["out"])
    provenance, path = frozen(record, tmp_path / "frozen")
    meta_graph = read_meta_graph(record.meta)
    right = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    nodes.check(meta_graph, right, provenance.cuts, record.outputs)
    for where, name in [(part, node.name) for part, node in parts(right)]:
        attributes = {key for part, node in parts(right) if (part, node.name) == (where, name) for key in node.attr}
        of_attributes = [other_value_of(key) for key in sorted(attributes - FREE)]
        for damage in (another_op, another_input, another_attribute, *of_attributes):
            wrong = tf.compat.v1.GraphDef.FromString(path.read_bytes())
            node = next(node for part, node in parts(wrong) if (part, node.name) == (where, name))
            if damage(node):
                problem = problem_of(nodes.check, meta_graph, wrong, provenance.cuts, record.outputs)
                assert problem.cause == "structure_differs", node


def another_op(node) -> bool:
    node.op = {"Tanh": "Relu", "Add": "Sub"}.get(node.op, "Tanh")
    return True


def another_input(node) -> bool:
    data = [text for text in node.input if not text.startswith("^")]
    if len(data) < 2 or data[0] == data[1]:
        return False
    node.input[0], node.input[1] = data[1], data[0]
    return True


# `value` of a weight is compared with what TensorFlow restores; the others only note what is inferred, or place ops.
FREE = {"value", "_output_shapes", "_class"}


def other_value_of(key: str):
    """A damage that changes the attribute `key` to another value of its kind."""

    def damage(node) -> bool:
        value = node.attr[key]
        before = value.SerializeToString(deterministic=True)
        kind = value.WhichOneof("value")
        if kind == "list":
            field = next((field for field, _ in value.list.ListFields()), None)
            if field is None:
                value.list.i.append(3)
            else:
                del getattr(value.list, field.name)[-1]
        elif kind == "func":
            value.func.name += "_other"
        elif kind == "shape":
            value.shape.dim.add(size=9)
        elif kind == "type":
            value.type = 3 if value.type != 3 else 1
        elif kind == "tensor":
            value.tensor.version_number += 1
        elif kind in ("b", "i", "f"):
            setattr(value, kind, not value.b if kind == "b" else getattr(value, kind) + 1)
        elif kind == "s":
            value.s += b"x"
        return value.SerializeToString(deterministic=True) != before

    return damage


def another_attribute(node) -> bool:
    node.attr["transpose_a"].b = not node.attr["transpose_a"].b
    return True
