"""The picture of a frozen graph: a few boxes, whatever the graph, with inputs, outputs and cuts marked."""

import random
import re
import time
from xml.etree import ElementTree

import pytest

from permafrost.graph.protos import graph_pb2, types_pb2
from permafrost.report.picture import drawing, grouping, placement
from permafrost.report.picture.grouping import INPUT, MOST_BOXES, OUTPUT


def graph_of(*nodes: str):
    """A GraphDef of nodes `name:Op <- source source`; names may hold anything but spaces and colons."""
    graph_def = graph_pb2.GraphDef()
    for text in nodes:
        named, _, sources = text.partition(" <- ")
        name, _, op = named.partition(":")
        node = graph_def.node.add(name=name, op=op or "Relu")
        node.input.extend(sources.split())
    return graph_def


def chain(count: int, name: str = "n{}") -> list[str]:
    names = [name.format(number) for number in range(count)]
    return ["x:Placeholder", f"{names[0]} <- x"] + [f"{b} <- {a}" for a, b in zip(names, names[1:], strict=False)]


def labels(found) -> list[str]:
    return [box.label for box in found[0]]


def hold(node, floats: int) -> None:
    """Says of a Const that it holds so many floats, as a graph does whose large values were left out."""
    node.attr["value"].tensor.dtype = types_pb2.DT_FLOAT
    node.attr["value"].tensor.tensor_shape.dim.add(size=floats)


def test_a_small_graph_is_shown_op_by_op():
    graph_def = graph_of("x:Placeholder", "w:Const", "w/read:Identity <- w", "a:MatMul <- x w/read", "b <- a ^x")
    hold(graph_def.node[1], 1250)
    made, flows = grouping.boxes(graph_def, {"x:0": "x:0"}, ["b:0"])
    assert [(box.label, box.kind) for box in made] == [("x:0", INPUT), ("a", "scope"), ("b:0", OUTPUT)]
    assert flows == {(0, 1), (1, 2), (0, 2)}
    assert made[1].weight_bytes == 5000 and made[0].weight_bytes == made[2].weight_bytes == 0


def test_weights_count_once_where_two_ops_use_them():
    graph_def = graph_of("x:Placeholder", "w:Const", "a <- x w", "b <- a w")
    hold(graph_def.node[1], 25)
    made, _ = grouping.boxes(graph_def, {"x:0": "x:0"}, ["b:0"])
    assert sum(box.weight_bytes for box in made) == 100


def test_scopes_are_closed_where_there_are_many_nodes():
    nodes, last = ["x:Placeholder"], "x"
    for layer in range(6):
        for number in range(50):
            nodes.append(f"layer{layer}/cell/op{number} <- {last}")
            last = f"layer{layer}/cell/op{number}"
    made, flows = grouping.boxes(graph_of(*nodes), {"x:0": "x:0"}, [f"{last}:0"])
    shown = [box.label for box in made]
    assert shown[0] == "x:0" and shown[-1] == f"{last}:0" and len(shown) <= MOST_BOXES + 2
    assert {re.match(r"layer\d", label)[0] for label in shown[1:]} == {f"layer{n}" for n in range(6)}
    assert all(after > before for before, after in flows)


def test_an_output_inside_a_scope_follows_its_scope():
    nodes = chain(400, "scope/n{}")
    made, flows = grouping.boxes(graph_of(*nodes), {"x:0": "x:0"}, ["scope/n10:0", "scope/n399:0"])
    outputs = {box.label: number for number, box in enumerate(made) if box.kind == OUTPUT}
    assert set(outputs) == {"scope/n10:0", "scope/n399:0"}
    assert all(any(after == number for _, after in flows) for number in outputs.values())


def test_cut_inputs_and_more_ends_than_there_is_room_for():
    nodes = [f"in{n}:Placeholder" for n in range(20)] + ["sum:AddN <- " + " ".join(f"in{n}" for n in range(20))]
    nodes += [f"out{n} <- sum" for n in range(30)]
    inputs = {f"queue:{n}": f"in{n}:0" for n in range(20)}
    made, _ = grouping.boxes(graph_of(*nodes), inputs, [f"out{n}:0" for n in range(30)])
    given = [box for box in made if box.kind == INPUT]
    assert len(given) == 6 and all(box.cut for box in given) and "15 more inputs" in labels([made])
    assert len(made) <= MOST_BOXES * 2 + 6
    assert "cut off here" in drawing.picture(graph_of(*nodes), inputs, ["out0:0"])


def test_a_loop_is_drawn_and_ends():
    graph_def = graph_of(
        "x:Placeholder",
        "e:Enter <- x",
        "m:Merge <- e next",
        "s:Switch <- m m",
        "next:NextIteration <- s",
        "exit:Exit <- s",
    )
    made, flows = grouping.boxes(graph_def, {"x:0": "x:0"}, ["exit:0"])
    assert labels([made]) == ["x:0", "e", "m", "s", "next", "exit:0"]
    assert (4, 2) in flows and "back" in drawing.picture(graph_def, {"x:0": "x:0"}, ["exit:0"])


@pytest.mark.parametrize("seed", range(30))
def test_any_graph_has_few_boxes_and_every_live_node_is_in_one(seed):
    draw = random.Random(seed)
    count = draw.choice([1, 2, 17, 60, 500])
    names = [
        "/".join(f"s{draw.randrange(draw.choice([2, 30]))}" for _ in range(draw.randrange(4))) + f"/n{n}"
        for n in range(count)
    ]
    nodes = ["x:Placeholder"]
    for number, name in enumerate(names):
        before = draw.sample([*names[:number], "x", *names[number + 1 : number + 2 * (seed % 2)]], k=1)
        nodes.append(f"{name} <- {' '.join(before)}")
    graph_def = graph_of(*nodes)
    made, flows = grouping.boxes(graph_def, {"x:0": "x:0"}, [f"{names[-1]}:0"])
    held = [name for box in made for name in box.nodes]
    assert sorted(held) == sorted([*names, "x"]) and len(made) <= MOST_BOXES + 2
    places, passes, width, height = placement.layout(len(made), flows)
    for row in {place.row for place in places}:
        line = sorted((place for place in places if place.row == row), key=lambda place: place.x)
        assert all(b.x - a.x >= placement.WIDTH for a, b in zip(line, line[1:], strict=False))
        assert line[0].x >= placement.WIDTH / 2 - 1 and line[-1].x <= width - placement.WIDTH / 2 + 1
    assert set(passes) == flows
    ElementTree.fromstring(drawing.picture(graph_def, {"x:0": "x:0"}, [f"{names[-1]}:0"]))


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "q\"uo'te", "a&b;", "]]>", "\u202eright", "😀" * 40, "a\x01b", "new\nline"]
)
def test_hostile_names_are_text(name):
    graph_def = graph_of("x:Placeholder")
    graph_def.node.add(name=name, op="<b>").input.append("x")
    svg = drawing.picture(graph_def, {"x:0": "x:0"}, [name])
    root = ElementTree.fromstring(svg)
    assert "<script" not in svg and {element.tag.rpartition("}")[2] for element in root.iter()} <= {
        "svg", "title", "style", "defs", "marker", "path", "g", "rect", "text",
    }  # fmt: skip


def test_the_picture_needs_nothing_from_elsewhere():
    svg = drawing.picture(graph_of(*chain(30)), {"x:0": "x:0"}, ["n29:0"])
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|href|<image|<script", svg)
    assert "prefers-color-scheme: dark" in svg


def test_odd_graphs():
    assert grouping.boxes(graph_of(), {}, []) == ([], set())
    made, _ = grouping.boxes(graph_of("c:Const"), {}, ["c:0", "missing:0"])
    assert [(box.label, box.kind) for box in made] == [("c:0", OUTPUT)]
    made, _ = grouping.boxes(graph_of("a <- a missing b", "b <- a"), {"gone:0": "gone:0"}, ["b:0"])
    assert len(made) == 2
    ElementTree.fromstring(drawing.sentence("a < b & c"))


def test_a_hundred_thousand_nodes_take_seconds():
    graph_def = graph_of(*chain(100_000, "deep/scope/n{}"))
    start = time.process_time()
    svg = drawing.picture(graph_def, {"x:0": "x:0"}, ["deep/scope/n99999:0"])
    assert time.process_time() - start < 10 and len(svg) < 30_000


def points_of(path: str) -> list[tuple[float, float]]:
    """Points along an SVG path of M, C and V."""
    x = y = 0.0
    found = []
    for command, text in re.findall(r"([MCV])([^MCV]*)", path):
        numbers = [float(number) for number in text.split()]
        if command == "V":
            found += [(x, y + (numbers[0] - y) * part / 20) for part in range(21)]
            y = numbers[0]
        elif command == "C":
            ends = [(x, y), *zip(numbers[::2], numbers[1::2], strict=True)]
            for t in (part / 20 for part in range(21)):
                weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
                found.append(tuple(sum(w * end[axis] for w, end in zip(weights, ends, strict=True)) for axis in (0, 1)))
            x, y = ends[-1]
        else:
            x, y = numbers
    return found


@pytest.mark.parametrize("seed", range(40))
def test_no_flow_crosses_a_box(seed):
    """Loops and conds of any kind: what leads back, too, runs between the boxes."""
    draw = random.Random(seed)
    names = [f"n{number}" for number in range(draw.choice([3, 8, 14]))]
    nodes = ["x:Placeholder"]
    for number, name in enumerate(names):
        sources = draw.sample([*names[:number], "x"], k=min(number + 1, draw.choice([1, 1, 2])))
        later = draw.sample(names[number:], k=1) if draw.random() < 0.3 else []
        op = "Merge" if later else "Relu"
        nodes.append(f"{name}:{op} <- {' '.join([*sources, *later])}")
    svg = ElementTree.fromstring(drawing.picture(graph_of(*nodes), {"x:0": "x:0"}, [f"{names[-1]}:0"]))
    space = "{http://www.w3.org/2000/svg}"
    boxes = [
        [float(rect.get(key)) for key in ("x", "y", "width", "height")]
        for rect in svg.iter(f"{space}rect")
        if rect.get("class")
    ]
    for path in svg.iter(f"{space}path"):
        if "flow" not in path.get("class"):
            continue
        for px, py in points_of(path.get("d")):
            assert not any(x + 1 < px < x + w - 1 and y + 1 < py < y + h - 1 for x, y, w, h in boxes), path.get("d")
