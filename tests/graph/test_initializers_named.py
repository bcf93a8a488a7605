"""What is run after a restore: to which variables it writes."""

from permafrost.graph.index import GraphIndex
from permafrost.graph.initializers import written_by
from permafrost.graph.protos import graph_pb2


def graph(**inputs: str) -> GraphIndex:
    """Nodes by name, each as its op and what it takes."""
    graph_def = graph_pb2.GraphDef()
    for name, text in inputs.items():
        op, *sources = text.split()
        graph_def.node.add(name=name, op=op, input=sources)
    return GraphIndex(graph_def)


def test_a_write_through_identities_is_one_to_the_variable():
    index = graph(v="VariableV2", one="Const", i="Identity v", j="RefIdentity i", put="Assign j one", init="NoOp ^put")
    assert written_by(index, "init") == ["v"]


def test_a_damaged_graph_in_which_identities_take_each_other_writes_to_nothing():
    index = graph(i="Identity j", j="Identity i", one="Const", put="AssignAdd i one")
    assert written_by(index, "put") == []
