"""A model's two sides, imported and ready to be run on the same feeds."""

import contextlib
import itertools
import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from permafrost.graph.ops.unsafe import executed
from permafrost.judge import comparison
from permafrost.judge.graphs import Graphs
from permafrost.judge.seeds import draws, seed_random_ops
from permafrost.judge.sessions import Feed, RunFailed
from permafrost.judge.sides import CheckpointSide, FrozenSide

# The sessions in which a graph that leaves an order open is asked for a value: as the judge's, and as people's.
_EXACT: list[dict[str, Any]] = [{"threads": threads} for threads in (1, 2, 8, 16) * 10]
_USUAL: list[dict[str, Any]] = [{"is_plain": True}] * 7
_FURTHER_RUNS = 4  # of what draws random numbers, and gives the same
_LONGEST_SEARCH = 20  # s
# What inputs are multiplied by, so that other sides of conds run.
_FEW_FACTORS = (-1, 1000)  # where TensorFlow's optimisers alone may lose an order, the same one in each run
_FACTORS = (0, -1, 30, -30, 1000, -1000, 100_000)


class Pair:
    """The checkpoint's side and the frozen side of one model.

    graphs: what both were imported from. original, frozen: the checkpoint's side and the frozen one; untouched: the
    former as the graph has it, where reads without an order come first in `original`; None where a run writes to no
    variable. random_ops: how many random ops of the frozen graph were given a seed. is_steady: whether nothing that is
    run keeps state, so that each side runs in one session, restored once. session: `shared` then, else `fresh`.
    """

    def __init__(self, graphs: Graphs, allowed: set[str]):
        """Seeds the random ops of both graphs, in place, and imports the checkpoint's.

        Args:
          allowed: op types that may run though they are unsafe.
        Raises Problem: not_restorable, unsafe_op.
        """
        self.graphs, self._allowed = graphs, allowed
        self.random_ops = seed_random_ops(graphs.frozen.graph_def)
        seed_random_ops(graphs.graph_def)
        tensors, variables = [*graphs.outputs, *graphs.fed], graphs.constants + graphs.kept
        # First, since a frozen graph is not to be blamed for what its meta graph has as well.
        model = (graphs.graph_def, graphs.meta_graph, graphs.imported, tensors, variables, graphs.initializers, allowed)
        self.original = CheckpointSide(*model)
        is_open = self.original.ordered.is_open
        as_it_is = CheckpointSide(*model, is_ordered=False) if is_open else self.original
        self.untouched = as_it_is if is_open or self.original.ordered.writes else None
        self.is_steady = self.untouched is None and not graphs.state_keeper
        self.session = "shared" if self.is_steady else "fresh"
        if self.is_steady:
            self.original.share_session()

    @cached_property
    def frozen(self) -> FrozenSide:
        """The frozen side, imported when it is first asked for. Raises Problem: not_importable, unsafe_op."""
        side = FrozenSide(self.graphs.frozen, self._allowed)
        if self.is_steady:
            side.share_session()
        return side

    def give_kept(self) -> None:
        """Gives the frozen side's own variables the values that TensorFlow restores, or initializes them with."""
        restored = self.graphs.given | self.original.initialized.keys()
        if names := [name for name in self.graphs.kept if name in restored]:
            with self.original.restored(is_only_read=True) as session:
                self.frozen.give(dict(self.original.values(session, names)))

    def run_original(self, tensors: list[str], feed: Feed) -> list[NDArray[Any]]:
        """The checkpoint's side on a feed. Raises RunFailed and Problem as CheckpointSide.run does."""
        return self.original.run(tensors, self._to_original(feed))

    def run_original_again(
        self, tensors: list[str], feed: Feed
    ) -> tuple[list[NDArray[Any]], list[list[NDArray[Any]] | None]]:
        """What run_original gives, and what further runs in the same session give; None for one that fails.

        There is one further run, and up to four while what draws random numbers is the same in all of them, since two
        draws of a few may be the same.
        """
        index, fed = self.graphs.index, self.graphs.fed
        same = [position for position, name in enumerate(tensors) if self.random_ops and draws(index, name, fed)]
        with contextlib.closing(self.original.runs(tensors, self._to_original(feed))) as runs:
            first, further = next(runs), list[list[NDArray[Any]] | None]()
            try:
                for run in itertools.islice(runs, _FURTHER_RUNS):
                    further.append(run)
                    same = [position for position in same if comparison.match(first[position], run[position])]
                    if not same:
                        break
            except RunFailed:
                further.append(None)
            return first, further

    def lost_order(self, feed: Feed, expected: list[NDArray[Any]]) -> str:
        """The first tensor that TensorFlow's own sessions do not give as expected; empty where there is none.

        A graph in which nothing is written is not asked. Where all reads and writes have an order, TensorFlow's
        optimisers, which is what people have, may still lose one; they do the same to each run. Where an order is open,
        see _first_not_given.
        """
        if self.untouched is None:
            return ""
        if self.original.ordered.is_open:
            values = dict(zip(self.graphs.fetched, expected, strict=True))
            found = (self._first_not_given({name: values[name] for name in group}, feed) for group in self._alike())
            return next(filter(None, found), "")
        return next((self._other(expected, found) for found in self._runs(self.graphs.fetched, feed, _USUAL[:1])), "")

    def _other(self, expected: list[NDArray[Any]], found: list[NDArray[Any]]) -> str:
        """The first of the fetched tensors that is not as expected; empty where there is none."""
        named = zip(self.graphs.fetched, expected, found, strict=True)
        return next((name for name, value, other in named if not comparison.is_close(value, other)), "")

    def _alike(self) -> list[list[str]]:
        """The fetched tensors, those together for which a run executes the same nodes."""
        groups: dict[frozenset[str], list[str]] = {}
        for name in self.graphs.fetched:
            ran = frozenset(executed(self.graphs.index, [name], self.graphs.fed))
            groups.setdefault(ran, []).append(name)
        return list(groups.values())

    def _first_not_given(self, expected: dict[str, NDArray[Any]], feed: Feed) -> str:
        """The first tensor that the checkpoint's own graph, in which nothing was put in an order, does not give.

        They are asked for without others, since what another needs may write what these read. A graph that leaves an
        order open may give another value from run to run and with other numbers of threads; some run has to give the
        same bits. In sessions with TensorFlow's optimisers, which round otherwise, most runs have to.
        Args:
          expected: tensor -> what it should be; a run executes the same nodes for each of them.
        """
        close, runs = dict.fromkeys(expected, 0), 0
        for found in self._runs(list(expected), feed, _USUAL):
            runs += 1
            for (name, value), other in zip(expected.items(), found, strict=True):
                close[name] += comparison.is_close(value, other)
            if 2 * min(close.values()) > len(_USUAL):
                break
        if few := [name for name, count in close.items() if 2 * count <= runs]:
            return few[0]
        missing = dict(expected)
        for found in self._runs(list(expected), feed, _EXACT):
            for name, other in zip(expected, found, strict=True):
                if name in missing and comparison.match(missing[name], other):
                    del missing[name]
            if not missing:
                break
        return next(iter(missing), "")

    def _runs(self, tensors: list[str], feed: Feed, sessions: Iterable[dict[str, Any]]) -> Iterator[list[NDArray[Any]]]:
        """What the graph in which nothing was put in an order gives in each of the sessions, while there is time."""
        named, deadline = self._to_original(feed), time.monotonic() + _LONGEST_SEARCH
        if self.untouched is None:
            return
        for options in sessions:
            with contextlib.suppress(RunFailed):
                yield self.untouched.run(tensors, named, **options)
            if time.monotonic() > deadline:
                break

    def not_given(self, feed: Feed) -> str:
        """What lost_order finds, and what the frozen graph gives otherwise, on inputs of other sizes: other sides of
        conds run then.

        Inputs on which the graph does not run are passed over, and so are those for which the time does not last. Empty
        where there is none, or nothing is written.
        """
        deadline = time.monotonic() + _LONGEST_SEARCH
        is_open = self.original.ordered.is_open
        for factor in (_FACTORS if is_open else _FEW_FACTORS) if self.untouched is not None else ():
            if time.monotonic() > deadline:
                break
            baked = self.graphs.baked
            other = {name: value if name in baked else _scaled(value, factor) for name, value in feed.items()}
            with contextlib.suppress(RunFailed):
                expected = self.run_original(self.graphs.fetched, other)
                if name := self._frozen_otherwise(other, expected) or self.lost_order(other, expected):
                    return name
        return ""

    def _frozen_otherwise(self, feed: Feed, expected: list[NDArray[Any]]) -> str:
        """The first output that the frozen graph does not give as expected; empty where there is none.

        It is asked only where an order is open: what could not be put in an order on the checkpoint's side may have the
        write first there, on a side of a cond that no trial took, and still agree with TensorFlow's own sessions.
        """
        if not self.original.ordered.is_open:
            return ""
        try:
            return self._other(expected, self.run_frozen(self.graphs.fetched, feed))
        except RunFailed:
            return self.graphs.fetched[0]

    def unseen_races(self, feeds: list[Feed]) -> list[tuple[str, str]]:
        """The (read, write) without an order of which no run on one of the feeds executes both, for one output alone.

        Whether TensorFlow gives the value that was read first then shows in none of these runs.
        """
        races = {
            race: [
                name
                for name in self.graphs.fetched
                if set(race) <= executed(self.graphs.index, [name], self.graphs.fed)
            ]
            for race in self.original.ordered.races
        }
        races = {race: outputs for race, outputs in races.items() if outputs}
        for feed in feeds if races else ():
            ran = self.original.executed(self.graphs.fetched, self._to_original(feed))
            races = {race: outputs for race, outputs in races.items() if not set(race) <= ran}
        return list(races)

    def _to_original(self, feed: Feed) -> Feed:
        return {self.graphs.names[name]: value for name, value in feed.items()}

    def to_frozen(self, feed: Feed) -> Feed:
        """A trial's feed by the tensors of the frozen graph, without what is baked there."""
        given = {name: value for name, value in feed.items() if name not in self.graphs.baked}
        return {self.graphs.frozen_names[name]: value for name, value in given.items()}

    def run_frozen(self, tensors: list[str], feed: Feed, changed: tuple[str, NDArray[Any]] | None = None) -> Any:
        """The frozen side on a feed, where `changed` (name, value) is given with another value for one variable."""
        named = self.to_frozen(feed)
        return self.frozen.run_changed(tensors, named, *changed) if changed else self.frozen.run(tensors, named)


def _scaled(value: NDArray[Any], factor: float) -> NDArray[Any]:
    return value * value.dtype.type(factor) if value.dtype.kind in "fc" else value
