"""A model's two sides together: what is fed to both and fetched from both, under the names that each side has."""

import contextlib
import itertools
import time
from collections.abc import Iterable, Iterator

import numpy as np

from permafrost.graph import graph_sources, pruning
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.unsafe_ops import executed
from permafrost.graph.variable_ops import VARIABLE_OPS
from permafrost.judge import comparison
from permafrost.judge.seeds import seed_random_ops
from permafrost.judge.sides import CheckpointSide, FrozenSide, RunFailed
from permafrost.records import ForeignProvenance, ImportRecord, Provenance
from permafrost.signature import feeds
from permafrost.signature.forward import HEADS, STRUCTURAL

# The sessions in which a graph that leaves an order open is asked for a value: as the judge's, and as people's.
_EXACT = [{"threads": threads} for threads in (1, 2, 8, 16) * 10]
_USUAL = [{"is_plain": True}] * 7
_LONGEST_SEARCH = 20  # s
# What inputs are multiplied by, so that other sides of conds run.
_FEW_FACTORS = (-1, 1000)  # where TensorFlow's optimisers alone may lose an order, the same one in each run
_FACTORS = (0, -1, 30, -30, 1000, -1000, 100_000)


class Pair:
    """The checkpoint's side and the frozen side of one model.

    outputs: the tensors of the model's outputs. before_heads: what goes into an ArgMax, a Softmax or another head on
    the way to them, which shows differences that a head hides, with the output. All have the same names on both sides.
    inputs: tensor name -> description, of the inputs that are fed. batches: the batch sizes to try. graph_def, index:
    the meta graph's graph with its inputs cut. original, frozen: the checkpoint's side and the frozen one; untouched:
    the former as the graph has it, where reads without an order come first in `original`; None where a run writes to no
    variable. constants, kept: names of the variables that are constants in the frozen graph and of those that are
    variables still. is_foreign: whether another tool made the frozen graph.
    """

    def __init__(self, imported: ImportRecord, provenance: Provenance, frozen_graph: str):
        """Reads both sides from the disk. Raises Problem as graph_files.read and FrozenSide.read do."""
        self.meta_graph = graph_sources.read(imported.graph)
        self.batches = imported.batches
        self.initializers = provenance.initializers
        self.inputs = {name: spec for name, spec in imported.inputs.items() if spec["kind"] != "default"}
        self.graph_def, cuts = pruning.cut_inputs(self.meta_graph.graph_def, list(imported.inputs), imported.outputs)
        self._names = {name: cuts.get(name, name) for name in self.inputs}
        self._frozen_names = provenance.inputs
        self._imported = imported
        self.index = GraphIndex(self.graph_def)
        tensors = [name if ":" in name else f"{name}:0" for name in imported.outputs]
        self.outputs = list(dict.fromkeys(cuts.get(name, name) for name in tensors))
        hidden = _before_heads(self.index, self.outputs, self.fed)
        self.before_heads = {name: output for name, output in hidden.items() if name not in self.outputs}
        variables = {name for name, node in self.index.nodes.items() if node.op in VARIABLE_OPS}
        self.is_foreign = isinstance(provenance, ForeignProvenance)
        own = provenance.frozen_initializers if isinstance(provenance, ForeignProvenance) else provenance.initializers
        self.frozen = FrozenSide.read(frozen_graph, variables, own)
        frozen = [node for node in self.frozen.graph_def.node if node.name in variables]
        self.constants = [node.name for node in frozen if node.op == "Const"]
        self.kept = [node.name for node in frozen if node.op in VARIABLE_OPS]
        self.random_ops = 0
        self.untouched: CheckpointSide | None = None

    @property
    def fed(self) -> set[str]:
        """The tensors of the checkpoint's side that are fed."""
        return set(self._names.values())

    @property
    def fetched(self) -> list[str]:
        """The tensors to compare: the outputs, then those before heads."""
        return [*self.outputs, *self.before_heads]

    def load(self, whole: bool, allowed: set[str]) -> None:
        """Seeds the random ops and imports both graphs.

        Args:
          whole: whether TensorFlow sees more than the variables and what restores them.
          allowed: op types that may run though they are unsafe.
        Raises Problem: not_importable, not_restorable, unsafe_op.
        """
        self.random_ops = seed_random_ops(self.frozen.graph_def)
        seed_random_ops(self.graph_def)
        tensors, initializers = ([*self.outputs, *self.fed], self.initializers) if whole else ([], [])
        variables = self.constants + self.kept
        # First, since a frozen graph is not to be blamed for what its meta graph has as well.
        model = (self.graph_def, self.meta_graph, self._imported, tensors, variables, initializers, allowed)
        self.original = CheckpointSide(*model)
        if self.original.ordered.is_open:
            self.untouched = CheckpointSide(*model, is_ordered=False)
        elif self.original.ordered.writes:
            self.untouched = self.original
        if whole:
            self.frozen.load(allowed)

    def give_kept(self) -> None:
        """Gives the frozen side's own variables the values that TensorFlow restores."""
        restored = {variable.variable for variable in self._imported.variables if variable.key}
        if names := [name for name in self.kept if name in restored]:
            with self.original.restored() as session:
                self.frozen.give({name: self.original.value(session, name) for name in names})

    def feed(self, seed: int, batch: int, directory: str) -> dict[str, np.ndarray]:
        """The arrays of one trial, by the names of the import record. Raises Problem (bad_feed)."""
        return feeds.make(self.inputs, seed, batch, directory)

    def run_original(self, tensors: list[str], feed: dict) -> list[np.ndarray]:
        """The checkpoint's side on a feed. Raises RunFailed and Problem as CheckpointSide.run does."""
        return self.original.run(tensors, self._to_original(feed))

    def run_original_again(
        self, tensors: list[str], feed: dict
    ) -> tuple[list[np.ndarray], list[list[np.ndarray] | None]]:
        """What run_original gives, and what further runs in the same session give; None for one that fails.

        There are two runs, or five where the graph has random ops, since two draws of a few may be the same.
        """
        with contextlib.closing(self.original.runs(tensors, self._to_original(feed))) as runs:
            first, further = next(runs), list[list[np.ndarray] | None]()
            try:
                further += itertools.islice(runs, 4 if self.random_ops else 1)
            except RunFailed:
                further.append(None)
            return first, further

    def lost_order(self, feed: dict, expected: list[np.ndarray]) -> str:
        """The first of `fetched` that TensorFlow's own sessions do not give as expected; empty where there is none.

        A graph in which nothing is written is not asked. Where all reads and writes have an order, TensorFlow's
        optimisers, which is what people have, may still lose one; they do the same to each run. Where an order is open,
        see _can_give.
        """
        if self.untouched is None:
            return ""
        if self.original.ordered.is_open:
            named = zip(self.fetched, expected, strict=True)
            return next((name for name, value in named if not self._can_give(name, feed, value)), "")
        for found in self._runs(self.fetched, feed, _USUAL[:1]):
            for name, value, other in zip(self.fetched, expected, found, strict=True):
                if not comparison.is_close(value, other):
                    return name
        return ""

    def _can_give(self, tensor: str, feed: dict, expected: np.ndarray) -> bool:
        """Whether the checkpoint's own graph, in which nothing was put in an order, gives what is expected.

        It is asked for the one tensor alone, since what another needs may write what this one reads. A graph that
        leaves an order open may give another value from run to run and with other numbers of threads; some run has to
        give the same bits. In sessions with TensorFlow's optimisers, which round otherwise, most runs have to.
        """
        usual = [comparison.is_close(expected, found) for (found,) in self._runs([tensor], feed, _USUAL)]
        if 2 * sum(usual) <= len(usual):
            return False
        return any(comparison.match(expected, found) for (found,) in self._runs([tensor], feed, _EXACT))

    def _runs(self, tensors: list[str], feed: dict, sessions: Iterable[dict]) -> Iterator[list[np.ndarray]]:
        """What the graph in which nothing was put in an order gives in each of the sessions, while there is time."""
        named, deadline = self._to_original(feed), time.monotonic() + _LONGEST_SEARCH
        if self.untouched is None:
            return
        for options in sessions:
            with contextlib.suppress(RunFailed):
                yield self.untouched.run(tensors, named, **options)
            if time.monotonic() > deadline:
                break

    def not_given(self, feed: dict) -> str:
        """What lost_order finds, on inputs of other sizes: other sides of conds run then.

        Inputs on which the graph does not run are passed over, and so are those for which the time does not last. Empty
        where there is none, or nothing is written.
        """
        deadline = time.monotonic() + _LONGEST_SEARCH
        is_open = self.original.ordered.is_open
        for factor in (_FACTORS if is_open else _FEW_FACTORS) if self.untouched is not None else ():
            if time.monotonic() > deadline:
                break
            other = {name: _scaled(value, factor) for name, value in feed.items()}
            with contextlib.suppress(RunFailed):
                if name := self.lost_order(other, self.run_original(self.fetched, other)):
                    return name
        return ""

    def unseen_races(self, feeds: list[dict]) -> list[tuple[str, str]]:
        """The (read, write) without an order of which no run on one of the feeds executes both, for one output alone.

        Whether TensorFlow gives the value that was read first then shows in none of these runs.
        """
        races = {
            race: [name for name in self.fetched if set(race) <= executed(self.index, [name], self.fed)]
            for race in self.original.ordered.races
        }
        races = {race: outputs for race, outputs in races.items() if outputs}
        for feed in feeds if races else ():
            ran = self.original.executed(self.fetched, self._to_original(feed))
            races = {race: outputs for race, outputs in races.items() if not set(race) <= ran}
        return list(races)

    def _to_original(self, feed: dict) -> dict:
        return {self._names[name]: value for name, value in feed.items()}

    def run_frozen(self, tensors: list[str], feed: dict, changed: tuple[str, np.ndarray] | None = None):
        """The frozen side on a feed, where `changed` (name, value) is given with another value for one variable."""
        named = {self._frozen_names[name]: value for name, value in feed.items()}
        return self.frozen.run_changed(tensors, named, *changed) if changed else self.frozen.run(tensors, named)


def _before_heads(index: GraphIndex, outputs: list[str], fed: set[str]) -> dict[str, str]:
    """The tensors that heads take -> the output, as far as only reshaping and further heads lie between the two."""
    found: dict[str, str] = {}
    waiting = [(name, name) for name in outputs if name not in fed]
    seen = set(outputs)
    while waiting:
        name, output = waiting.pop(0)
        node = index.nodes.get(tensor_name(name)[0])
        if node is None or not (node.op in HEADS or node.op in STRUCTURAL):
            continue
        sources = index.inputs_of(node)
        for source, number in sources[:1] if node.op in HEADS else sources:
            tensor = f"{source}:{number}"
            if source not in index.nodes or tensor in fed or index.nodes[source].op in (*VARIABLE_OPS, "Const"):
                continue
            if node.op in HEADS:
                found.setdefault(tensor, output)
            if tensor not in seen:
                seen.add(tensor)
                waiting.append((tensor, output))
    return found


def _scaled(value: np.ndarray, factor: float) -> np.ndarray:
    return value * value.dtype.type(factor) if value.dtype.kind in "fc" else value
