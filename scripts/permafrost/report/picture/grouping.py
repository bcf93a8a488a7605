"""A graph of thousands of nodes as a few boxes: scopes, runs of scopes, and single ops, with what flows between them.

Scopes are opened from the outside in, the largest first, as long as the boxes stay few. Inputs and outputs of the model
have boxes of their own. Constants, and what is computed from constants alone, count as the weights of what uses them.
"""

from collections import Counter
from dataclasses import dataclass, field

from permafrost.graph.large_constants import value_bytes
from permafrost.graph.protos import GraphDef

MOST_BOXES = 18
_MOST_INPUTS, _MOST_OUTPUTS = 6, 8  # boxes; where outputs are more, those of one scope share a box
_DULL = {"Identity", "Const", "NoOp", "Shape", "Pack", "StridedSlice", "ExpandDims", "Squeeze", "StopGradient"}
INPUT, OUTPUT, SCOPE = "input", "output", "scope"


Flow = tuple[int, int]  # the numbers of two boxes


@dataclass(eq=False)
class Box:
    """Part of a graph. `kind` is INPUT, OUTPUT or SCOPE; `cut` says that an input pipeline was cut off here.

    An output that lies inside a scope has no nodes, and that scope's box as its `source`.
    """

    label: str
    kind: str = SCOPE
    cut: bool = False
    nodes: list[str] = field(default_factory=list)
    op_types: Counter[str] = field(default_factory=Counter)
    weight_bytes: int = 0
    source: "Box | None" = None

    def caption(self) -> str:
        """One line on what is inside: the two most frequent op types that say something, else how many ops."""
        telling = [item for item in self.op_types.most_common() if item[0] not in _DULL] or self.op_types.most_common()
        shown = [f"{op} ×{count}" if count > 1 else op for op, count in telling[:2]]
        return ", ".join(shown) + (" …" if len(telling) > 2 else "")


def boxes(graph_def: GraphDef, inputs: dict[str, str], outputs: list[str]) -> tuple[list[Box], set[tuple[int, int]]]:
    """The boxes of a frozen GraphDef in the order of the data, and the pairs of boxes between which tensors flow.

    Args:
      inputs: each input of the model, and the tensor that is fed for it, which differs where a pipeline was cut.
      outputs: the tensors to fetch.
    """
    ops = {node.name: node.op for node in graph_def.node}
    sources = {node.name: [_node_of(name) for name in node.input] for node in graph_def.node}
    order = _in_order(sources, ops)
    static = _static(sources, ops, order)
    fed = {_node_of(tensor): Box(name, INPUT, cut=tensor != name) for name, tensor in inputs.items()}
    fetched = {_node_of(tensor): tensor for tensor in outputs}
    live = [name for name in order if name not in static or name in fed or name in fetched]
    made = _input_boxes([name for name in live if name in fed], fed)
    made += _opened([name for name in live if name not in fed])
    made = _with_outputs(made, fetched)
    flows = _flows(graph_def, made, sources, ops, static)
    numbers = _order(len(made), flows)
    place = {number: index for index, number in enumerate(numbers)}
    return [made[number] for number in numbers], {(place[a], place[b]) for a, b in flows}


def _node_of(tensor: str) -> str:
    return tensor.lstrip("^").partition(":")[0]


def _in_order(sources: dict[str, list[str]], ops: dict[str, str]) -> list[str]:
    """The names of the nodes, each after those that it takes tensors from; what closes a loop does not count."""
    users: dict[str, list[str]] = {name: [] for name in sources}
    waiting = dict.fromkeys(sources, 0)
    for name, taken in sources.items():
        for source in set(taken):
            if source in users and ops[source] not in ("NextIteration", "RefNextIteration"):
                users[source].append(name)
                waiting[name] += 1
    ready = [name for name, count in waiting.items() if not count]
    for name in ready:
        for user in users[name]:
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    done = set(ready)
    return ready + [name for name in sources if name not in done]


def _static(sources: dict[str, list[str]], ops: dict[str, str], order: list[str]) -> set[str]:
    """The constants, and what is computed from constants alone."""
    static: set[str] = set()
    for name in order:
        taken = sources[name]
        if ops[name] == "Const" or (taken and all(source in static for source in taken)):
            static.add(name)
    return static


def _order(count: int, flows: Counter[Flow]) -> list[int]:
    """The numbers of the boxes in the order of the data: next is what waits for nothing, else what gives more."""
    order, left = [], set(range(count))
    while left:
        waits: Counter[int] = Counter()
        gives: Counter[int] = Counter()
        for (before, after), tensors in flows.items():
            if before in left and after in left:
                waits[after] += tensors
                gives[before] += tensors
        order.append(min(left, key=lambda number: (waits[number] > 0, waits[number] - gives[number], number)))
        left.remove(order[-1])
    return order


def _input_boxes(names: list[str], fed: dict[str, Box]) -> list[Box]:
    """A box for each node that is fed; those that are too many share one."""
    shown = names if len(names) <= _MOST_INPUTS else names[: _MOST_INPUTS - 1]
    for name in shown:
        fed[name].nodes.append(name)
    made = [fed[name] for name in shown]
    if rest := names[len(shown) :]:
        made.append(Box(f"{len(rest)} more inputs", INPUT, any(fed[name].cut for name in rest), rest))
    return made


def _with_outputs(made: list[Box], fetched: dict[str, str]) -> list[Box]:
    """The boxes with the outputs marked: a box that is one op is the output itself, others are followed by it."""
    told = []
    for box in made:
        told.append(box)
        inside = [fetched[name] for name in box.nodes if name in fetched]
        if inside and len(box.nodes) == 1 and box.kind == SCOPE:
            box.label, box.kind = inside[0], OUTPUT
        elif len(inside) == 1 or len(fetched) <= _MOST_OUTPUTS:
            told += [Box(tensor, OUTPUT, source=box) for tensor in inside]
        elif inside:
            told.append(Box(f"{len(inside)} outputs", OUTPUT, source=box))
    return told


def _opened(names: list[str]) -> list[Box]:
    """Boxes of scopes, at most MOST_BOXES. `names` are in the order of the data."""
    closed: list[_Scope] = []
    waiting = [_Scope("", names)] if names else []
    while waiting:
        largest = max(waiting, key=lambda scope: len(scope.names))
        waiting.remove(largest)
        room = MOST_BOXES - len(waiting) - len(closed)
        parts = largest.parts()
        if len(parts) > room and len(largest.names) > len(names) / 3:
            parts = _runs(parts, max(room // 2, 1))
        if len(largest.names) > max(1, len(names) / MOST_BOXES / 3) and 1 < len(parts) <= room:
            waiting += parts
        else:
            closed.append(largest)
    return [Box(scope.label, nodes=scope.names) for scope in closed]


@dataclass
class _Scope:
    path: str  # with a slash at the end; the name of a node where it is one
    names: list[str]
    label: str = ""
    inside: "list[_Scope] | None" = None  # the parts of a run

    def __post_init__(self) -> None:
        self.label = self.label or self.path.rstrip("/") or "graph"

    def parts(self) -> list["_Scope"]:
        """The scopes and ops right inside, in the order of the data; a scope with one part alone is passed through."""
        if self.inside is not None:
            return self.inside
        path = self.path
        while True:
            inside: dict[str, list[str]] = {}
            for name in self.names:
                head, slash, _ = name[len(path) :].partition("/")
                inside.setdefault(f"{path}{head}{slash}", []).append(name)
            (first, names), *others = inside.items()
            if others or len(names) == 1 or not first.endswith("/"):
                return [_Scope(part, found) for part, found in inside.items()]
            path = first


def _runs(parts: list[_Scope], most: int) -> list[_Scope]:
    """The parts, neighbours joined where they are more than `most`."""
    if len(parts) <= most:
        return parts
    bounds = [round(index * len(parts) / most) for index in range(most + 1)]
    runs = []
    for start, end in zip(bounds, bounds[1:], strict=False):
        run = parts[start:end]
        label = run[0].label if len(run) == 1 else f"{run[0].label} … {run[-1].label.rpartition('/')[2]}"
        inside = run if len(run) > 1 else None
        runs.append(_Scope(run[0].path, [name for part in run for name in part.names], label, inside))
    return runs


def _flows(
    graph_def: GraphDef, made: list[Box], sources: dict[str, list[str]], ops: dict[str, str], static: set[str]
) -> Counter[Flow]:
    """How many tensors flow from box to box, by the boxes' numbers. Counts op types and weights into the boxes."""
    box_of = {name: number for number, box in enumerate(made) for name in box.nodes}
    size = {node.name: value_bytes(node) or 0 for node in graph_def.node if node.op == "Const"}
    flows: Counter[Flow] = Counter()
    counted = set()
    for number, box in enumerate(made):
        if box.source is not None:
            flows[made.index(box.source), number] += 1
        for name in box.nodes:
            box.op_types[ops[name]] += 1
            pending = list(sources[name])
            for source in pending:
                if box_of.get(source, number) != number:
                    flows[box_of[source], number] += 1
                elif source in static and source not in box_of and source not in counted:
                    counted.add(source)
                    box.weight_bytes += size.get(source, 0)
                    pending += sources[source]
    return flows
