"""Features: what one of several networks hands to the next, codes between encoder and decoder, and states."""

import re
from collections import defaultdict
from collections.abc import Callable
from functools import partial

from permafrost.graph.ops.variables import static_shape
from permafrost.graph.static import constant
from permafrost.signature.forward.marks import ACTIVATIONS, PROBABILITIES, SUMS
from permafrost.signature.ranking.anatomy import EXITS, Anatomy, union

_SCALING = {"Mul", "Sub", "Neg", "RealDiv", "Div", "Pow", "Maximum", "Minimum"}
_BOUNDED = ACTIVATIONS | PROBABILITIES | {"Softplus"}
_ENTERS = ("Enter", "RefEnter")
_RECURRENT = re.compile(r"lstm|gru|rnn", re.IGNORECASE)
_CROWD = 3
# What would speak against an output that others go on from, and does not where it is handed to another network.
_OF_ENDS = re.compile(
    r"layers? |no layer|the end is|end of|a label meets|goes into a layer|comes from|takers$|one takes|behind "
    r"|depends on (few|most) weights|depends on as many|share of the weights|is no tail|only losses|a loss compares"
)

_STATES = {"is a state that comes back as an input", "is a loop's state, and an input begins it"}
_OF_COPIES = re.compile(
    r"crowd of|is numbered|is in the middle|is the (first|last) of its (name|twins)|has no twin|share of its weights"
    r"|is (on|off) the gradient's way|how late|scopes around|is the narrowest|narrowest before|op |is a loop$|behind "
    r"|depends on (few|most) weights|depends on as many|share of the weights|is hidden|layers before|one takes"
    r"|is an activation|is the result of a layer|takers"
)


class Networks:
    """The borders of the networks that a graph is built of."""

    def __init__(self, anatomy: Anatomy, names: list[str]):
        self._anatomy, survey = anatomy, anatomy.survey
        borders = [_Border(anatomy, parts(anatomy), most) for parts, most in _WAYS]
        self._borders = [border for border in borders if border.is_one]
        self._fed_shapes = _fed_shapes(anatomy)
        self._narrowest_before, self._narrowest_after = _narrowest(anatomy)
        self._chains: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name in names:
            self._chains[anatomy.ops[name], re.sub(r"_\d+$", "", name)].append(name)
        self._gives_back_input = any(
            self._is_large_result(name) and self._inputs_like(name, needed=True) for name in names
        ) and bool(survey.feeds)

    def _is_large_result(self, name: str) -> bool:
        layers = self._anatomy.layers
        is_kind = name in self._anatomy.joins or self._anatomy.ops[name] in _BOUNDED
        return is_kind and layers.get(name, 0) > 1 and layers[name] >= self._anatomy.deepest / 2

    def _inputs_like(self, name: str, needed: bool) -> bool:
        """Whether an input has the shape of a node, and that needs its values, or needs them not."""
        shape, bits = self._anatomy.shape(name), self._anatomy.feed_bits.get(name, 0)
        points = self._fed_shapes.get(shape, ()) if shape else ()
        return any(bool(bits & self._anatomy.feed_bit[point]) == needed for point in points)

    def add(self, name: str, features: dict[str, float]) -> None:
        """Adds what holds of a candidate to its features, and takes away what only matters at the end of a network."""
        found = {feature for feature, holds in self._facts(name) if holds}
        handed = sum(border.is_handed_on(name) for border in self._borders)
        for border in self._borders:
            found |= border.facts(name)
        joins, layers = self._anatomy.joins, self._anatomy.layers.get(name, 0)
        into_layer = any(taker in joins for taker in self._anatomy.takers_of_value(name))
        borders = {
            "handed on": handed > 0 and into_layer and layers > 0,
            "a code": into_layer and "narrowest before the graph gives its input back" in found,
            "before noise": "noise is added to it" in found and layers > 0,
        }
        features.update(dict.fromkeys(found, 1.0))
        if found & _STATES:
            for feature in [feature for feature in features if _OF_COPIES.match(feature)]:
                del features[feature]
        if any(borders.values()):
            self._as_border(name, features)
            features |= {f"between networks: {kind}": 1.0 for kind, holds in borders.items() if holds}
            features |= {"between networks: ways to tell": handed / len(_WAYS)} if borders["handed on"] else {}
        elif self._anatomy.layers_after.get(name, 0):
            features["is hidden"] = 1.0

    def _as_border(self, name: str, features: dict[str, float]) -> None:
        survey = self._anatomy.survey
        for feature in [feature for feature in features if _OF_ENDS.match(feature)]:
            del features[feature]
        if survey.results.has(name):
            features["between networks: result of a layer"] = 1.0
        if self._anatomy.ops[name] in _BOUNDED:
            features["between networks: an activation"] = 1.0
        if "is scaled by a constant" in features:
            features["between networks: scaled"] = 1.0

    def _facts(self, name: str) -> list[tuple[str, bool]]:
        anatomy, survey = self._anatomy, self._anatomy.survey
        op, shape = anatomy.ops[name], anatomy.shape(name)
        needed, unneeded = self._inputs_like(name, needed=True), self._inputs_like(name, needed=False)
        scaled = op in _SCALING | SUMS and name not in anatomy.joins and self._takes_constant(name)
        sources = [anatomy.ops.get(source, "") for source, _ in anatomy.inputs[name]]
        noise = [taker for taker in anatomy.takers_of_value(name) if anatomy.ops[taker] in SUMS | {"Mul"}]
        last = self._chains[op, re.sub(r"_\d+$", "", name)]
        begins = self._begins(name) if op in EXITS and self._is_row_of_numbers(name) else []
        in_cell = op in ("Exit", "Merge") or bool(_RECURRENT.search(name))
        return [
            ("has the shape of an input that it needs", needed),
            ("has the shape of an input that it does not need", unneeded),
            ("has the shape of a label", self._has_shape_of_label(shape)),
            ("noise is added to it", name not in survey.random and any(taker in survey.random for taker in noise)),
            ("is scaled by a constant", scaled),
            ("is a scaled activation", scaled and any(source in _BOUNDED for source in sources)),
            ("is a clipped value", op == "Maximum" and sources[:1] == ["Minimum"]),
            ("depends on no weight, and nothing takes it", self._is_weightless_end(name)),
            ("is a final state that nothing takes", in_cell and self._is_end_with_rank_2(name)),
            ("is a state that comes back as an input", self._comes_back(name, last)),
            ("is a loop's state, and no weight begins it", bool(begins) and not self._depend_on_weights(begins)),
            ("is a loop's state, and an input begins it", any(anatomy.feed_bits.get(begin) for begin in begins)),
            *self._of_width(name),
        ]

    def _has_shape_of_label(self, shape: tuple[int, ...] | None) -> bool:
        return shape is not None and any(point in self._anatomy.labels for point in self._fed_shapes.get(shape, ()))

    def _ends_chain(self, name: str, chain: list[str]) -> bool:
        return len(chain) >= _CROWD and chain[-1] == name

    def _comes_back(self, name: str, chain: list[str]) -> bool:
        """Whether the last step of a loop, or of one that was unrolled, is as wide as an input that begins it."""
        shape, bits = self._anatomy.shape(name), self._anatomy.feed_bits.get(name, 0)
        if not shape or len(shape) != 2 or not (self._anatomy.ops[name] in EXITS or self._ends_chain(name, chain)):
            return False
        alike = [points for fed, points in self._fed_shapes.items() if len(fed) == 2 and fed[1] == shape[1] > 1]
        return any(bits & self._anatomy.feed_bit[point] for points in alike for point in points)

    def _begins(self, name: str) -> list[str]:
        """What the value of an Exit was before its loop began: the sources of the Enter behind its Switch and Merge."""
        inputs, ops = self._anatomy.inputs, self._anatomy.ops
        merge = name
        for _ in range(2):
            merge = inputs[merge][0][0] if inputs.get(merge) else ""
        enters = [source for source, _ in inputs.get(merge, ()) if ops.get(source) in _ENTERS]
        return [source for enter in enters for source, _ in inputs[enter]]

    def _depend_on_weights(self, names: list[str]) -> bool:
        return any(self._anatomy.weight_bits.get(name) for name in names)

    def _is_row_of_numbers(self, name: str) -> bool:
        return bool(self._anatomy.weight_bits.get(name)) and len(self._anatomy.shape(name) or ()) == 2

    def _is_weightless_end(self, name: str) -> bool:
        fed = self._anatomy.feed_bits.get(name) and not self._anatomy.weight_bits.get(name)
        return bool(fed) and not self._anatomy.index.consumers.get(name)

    def _is_end_with_rank_2(self, name: str) -> bool:
        return len(self._anatomy.shape(name) or ()) == 2 and not self._anatomy.taken_by(name)

    def _takes_constant(self, name: str) -> bool:
        nodes, parameters = self._anatomy.index.nodes, self._anatomy.survey.parameters
        sources = [source for source, _ in self._anatomy.inputs[name] if source in nodes]
        return any(source in parameters or constant(nodes[source]) is not None for source in sources)

    def _of_width(self, name: str) -> list[tuple[str, bool]]:
        size, layers = self._anatomy.sizes.get(name), self._anatomy.layers.get(name, 0)
        before, after = self._narrowest_before.get(name), self._narrowest_after.get(name)
        if not size or after is None or not layers:
            return []
        narrowest = size <= after and (before is None or size <= before)
        return [
            ("is the narrowest on its way", narrowest),
            ("narrowest before the graph gives its input back", narrowest and self._gives_back_input),
        ]


class _Border:
    """Where one network of a graph ends and the next begins, by one way of telling which weights belong together.

    Args:
      parts: weight -> the network that it belongs to.
    """

    def __init__(self, anatomy: Anatomy, parts: dict[str, str], most: int):
        networks = sorted(set(parts.values()))
        self.is_one = 1 < len(networks) <= most
        if not self.is_one:
            return
        bits = {network: 1 << place for place, network in enumerate(networks)}
        self._before = anatomy.collected({weight: bits[part] for weight, part in parts.items()})
        parameters = anatomy.survey.parameters
        own = {}
        for join in anatomy.joins:
            taken = [self._before.get(source, 0) for source, _ in anatomy.inputs[join] if source in parameters]
            own[join] = union(taken) or self._before.get(join, 0)
        self._after = anatomy.ahead(own)

    def is_handed_on(self, name: str) -> bool:
        """Whether layers of other networks come after a node, and none of its own."""
        before, after = self._before.get(name, 0), self._after.get(name, 0)
        return bool(before) and not before & after and bool(after & ~before)

    def facts(self, name: str) -> set[str]:
        """What of the candidate's place among the networks holds."""
        before, after = self._before.get(name, 0), self._after.get(name, 0)
        found = {"no layer of its own network comes after"} if before and not before & after else set()
        return found | ({"is handed to another network"} if self.is_handed_on(name) else set())


def _scopes_of(anatomy: Anatomy, parts: int) -> dict[str, str]:
    """Weight -> its outermost `parts` scopes, without those that all weights have in common, and without numbers."""
    paths = {weight: weight.split("/") for weight in anatomy.weights}
    matrices = [paths[w] for w in anatomy.weights if len(static_shape(anatomy.index.nodes[w]) or ()) > 1]
    depth, known = 0, matrices or list(paths.values())
    while known and all(len(p) > depth + 1 for p in known) and len({p[depth] for p in known}) == 1:
        depth += 1
    found = {}
    for weight, path in paths.items():
        scope = path[depth : depth + parts] if len(path) > depth + parts else []
        found[weight] = re.sub(r"_?\d+$", "", "/".join(scope)) if parts == 1 else "/".join(scope)
    return found


def _optimizers_of(anatomy: Anatomy) -> dict[str, str]:
    """Weight -> the scope of the optimizer that trains it."""
    return {variable: scope for variable, scope in anatomy.optimizers.items() if variable in anatomy.weight_bit}


# The ways of telling which weights belong together, and the most networks that each may tell: more are its layers.
_WAYS: tuple[tuple[Callable[[Anatomy], dict[str, str]], int], ...] = (
    (partial(_scopes_of, parts=1), 8),
    (partial(_scopes_of, parts=2), 12),
    (_optimizers_of, 1 << 30),
)


def _fed_shapes(anatomy: Anatomy) -> dict[tuple[int, ...], list[tuple[str, int]]]:
    """Shape with two dimensions or more -> the feed points that are declared to have it."""
    found = defaultdict(list)
    for name, output in anatomy.survey.feeds:
        node = anatomy.index.nodes[name]
        shape = anatomy.shape(name) if output == 0 else None
        if shape is None and "shape" in node.attr and not node.attr["shape"].shape.unknown_rank:
            shape = tuple(dimension.size for dimension in node.attr["shape"].shape.dim)
        if shape is not None and len(shape) > 1:
            found[shape].append((name, output))
    return found


def _narrowest(anatomy: Anatomy) -> tuple[dict[str, int], dict[str, int]]:
    """Node -> the smallest size of a layer before it, and of one after it; not where none has a known size."""
    sizes = anatomy.sizes
    before: dict[str, int] = {}
    after: dict[str, int] = {}
    for name in anatomy.order:
        known = [size for source, _ in anatomy.inputs[name] for size in (before.get(source), sizes.get(source)) if size]
        if known and name not in anatomy.learning:
            before[name] = min(known)
    for name in reversed(anatomy.order):
        takers = [taker for taker in anatomy.taken_by(name) if taker not in anatomy.survey.tail]
        known = [size for taker in takers for size in (after.get(taker), sizes.get(taker)) if size]
        if known and name not in anatomy.side:
            after[name] = min(known)
    return before, after
