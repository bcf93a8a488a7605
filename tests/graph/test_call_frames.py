"""What calls run: arguments are followed to the graph, and functions that call each other without an end are told."""

import pytest

from permafrost.graph.call_frames import Frames
from permafrost.graph.protos import FunctionDef, GraphDef
from stages import problem_of


def function(name: str, calls: list[str], op: str = "PartitionedCall", argument: str = "x") -> FunctionDef:
    """A function that hands its argument on to a reader, and to each of the functions `calls`."""
    made = FunctionDef()
    made.signature.name = name
    made.signature.input_arg.add(name=argument)
    made.node_def.add(name="same", op="Identity", input=[argument])
    made.node_def.add(name="read", op="ReadVariableOp", input=["same:output:0"])
    for number, called in enumerate(calls):
        made.node_def.add(name=f"call{number}", op=op, input=["same:output:0"]).attr["f"].func.name = called
    return made


def graph(*functions: FunctionDef, variables: tuple[str, ...] = ("v",)) -> GraphDef:
    """A graph that calls the first function once with each of its variables."""
    made = GraphDef()
    made.library.function.extend(functions)
    for name in variables:
        made.node.add(name=name, op="VarHandleOp")
        call = made.node.add(name=f"call_{name}", op="StatefulPartitionedCall", input=[name, f"^{name}"])
        call.attr["f"].func.name = functions[0].signature.name
    return made


def frames_of(made: GraphDef) -> Frames:
    return Frames(made.node, made.library, [node.name for node in made.node])


def test_an_argument_is_what_each_call_gives():
    made = graph(function("outer", ["inner"]), function("inner", [], argument="y"), variables=("v", "w"))
    frames = frames_of(made)
    assert len(frames.of("outer")) == len(frames.of("inner")) == 2
    sources = {frame.call: frame.source(frame.nodes["read"].input[0]) for frame in frames.of("inner")}
    assert {call: (where is frames.graph, node.name) for call, (where, node, _) in sources.items()} == {
        "call_v": (True, "v"), "call_w": (True, "w"),
    }  # fmt: skip


@pytest.mark.parametrize("op", ["If", "While", "MapDataset", "inner"])
def test_what_runs_otherwise_than_by_a_plain_call_is_not_known(op):
    made = graph(function("outer", ["inner"], op), function("inner", []))
    made.node.add(name="direct", op="PartitionedCall", input=["v"]).attr["f"].func.name = "inner"
    frames = frames_of(made)
    assert frames.of("outer") and not frames.of("inner")
    assert [frame.function for frame in frames.frames].count("inner") == 1


def test_an_argument_that_no_call_gives_is_nothing():
    made = graph(function("outer", []))
    del made.node[1].input[:]
    (frame,) = frames_of(made).of("outer")
    assert frame.source(frame.nodes["read"].input[0])[1] is None


@pytest.mark.parametrize("library", [
    [function("a", ["a"])],
    [function("a", ["b"]), function("b", ["a"])],
    [function(f"f{k}", [f"f{k + 1}"] * 2) for k in range(40)] + [function("f40", [])],
], ids=["itself", "each other", "too often"])  # fmt: skip
def test_calls_without_an_end_are_refused(library):
    problem = problem_of(frames_of, graph(*library))
    assert problem.cause == "bad_meta_graph" and "again and again" in problem.message


def test_nodes_in_a_circle_end():
    made = graph(function("outer", []))
    made.library.function[0].node_def[0].input[0] = "same:output:0"
    (frame,) = frames_of(made).of("outer")
    assert frame.source("same:output:0")[1] is None
