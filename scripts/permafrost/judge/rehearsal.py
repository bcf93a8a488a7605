"""A trial run before a model is frozen: its outputs on its inputs, which are changed until TensorFlow takes them.

Runs in a limited child process (sandbox.runner), since a stranger's graph is a program.
"""

import contextlib
import json
import re
import time
from typing import Any

import msgspec
import tensorflow as tf
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from permafrost.graph import graph_sources, pruning, vocabularies
from permafrost.graph.feed_points import needed
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.metagraph import producer_ops
from permafrost.graph.ops.kept_state import state_keepers
from permafrost.graph.ops.stateful import changes_by_itself
from permafrost.graph.ops.unsafe import executed, unsafe_to_restore, unsafe_to_run
from permafrost.graph.protos import NodeDef
from permafrost.graph.restore_map import table_initializers
from permafrost.graph.tensorflow_import import import_to_look_at
from permafrost.input_kinds import Default, Inputs, Integers
from permafrost.judge import comparison, replicas
from permafrost.judge.feed_search import BATCHES, alternatives, failing_node
from permafrost.judge.given import Given
from permafrost.judge.inferred_shapes import infer
from permafrost.judge.seeds import is_seeded, seed_random_ops
from permafrost.judge.sessions import RunFailed
from permafrost.judge.sides import CheckpointSide, left_to_run, restores_of, saver_nodes
from permafrost.judge.value_checks import find_size_checks, find_value_checks
from permafrost.model import Settings
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, Output
from permafrost.signature import feeds, meanings, sizes

# What graph_constructor.cc in tensorflow/core/common_runtime says of shapes that it does not infer, or that are none.
_STALE = re.compile(r"Node '([^' ]*)'? has an (_output_shapes attribute inconsistent with|invalid _output_shapes)")
_MOST_RUNS = 80
_SEARCH_SHARE = 0.5  # of the time limit
_LONG = 0.3  # s of a run; to infer the shapes of as many nodes takes less


class Found(Struct):
    """What a rehearsal found.

    inputs: those of the model, changed where they had to be. batches: the sizes of the batch on which the graph
    ran, one or two; empty where it did not run. failure: what TensorFlow said, where it did not run; else empty.
    left_out: output -> why, for outputs that do not run, or not the same twice, where others do. stale_shapes: the
    first node whose `_output_shapes` TensorFlow refuses, since it infers others; else empty. outputs: output -> what
    it was seen to be.
    """

    inputs: Inputs
    batches: list[int] = []
    failure: str = ""
    left_out: dict[str, str] = {}
    stale_shapes: str = ""
    outputs: dict[str, Output] = {}


def rehearse(imported: ImportRecord, settings: Settings, directory: str, is_named: bool) -> Found:
    """Runs the checkpoint's graph, and finds inputs on which it runs.

    Args:
      imported: the import record so far.
      settings: `seed`, `timeout` and `allow_ops`.
      directory: where relative `file:` inputs are looked up.
      is_named: whether the settings name the outputs, so that none of them may be left out.
    Raises Problem as graph_sources.read and CheckpointSide do, and bad_feed for a setting that cannot be fed.
    """
    model = _Model(imported, settings)
    if model.unsafe:
        return Found(imported.inputs, failure="it was not run: node {!r} ({}) {}".format(*model.unsafe[0]))
    stage = _Stage(model, settings, directory)
    found = Found(imported.inputs, stale_shapes=model.stale_shapes())
    outputs = stage.outputs
    specs, batch, failure = stage.search_sensible(imported.inputs, list(outputs))
    if failure and not is_named and len(outputs) > 1:
        alone = {name: stage.attempt(specs, batch, [name]) for name in outputs}
        if not all(alone.values()):
            found.left_out = {outputs[name]: why for name, why in alone.items() if why}
            outputs = {name: given for name, given in outputs.items() if not alone[name]}
            failure = ""
    if failure:
        found.failure = failure
        return found
    if not is_named:
        unsteady = stage.unsteady(specs, batch, list(outputs))
        if len(unsteady) < len(outputs):
            found.left_out |= {outputs[name]: "differs between two runs of the same graph" for name in unsteady}
            outputs = {name: given for name, given in outputs.items() if name not in unsteady}
    if found.left_out:
        specs = stage.needed_inputs(list(outputs.values()), specs)
    found.inputs, found.batches = specs, stage.sizes(specs, batch, list(outputs))
    found.outputs = {given: stage.seen(specs, found.batches, name) for name, given in outputs.items()}
    return found


def _extreme(specs: Inputs) -> list[Inputs]:
    """The same inputs with each integer as large, and as small, as it can be; not where that changes nothing."""

    def largest(spec: Integers) -> Integers:
        return spec if spec.high is None else replace(spec, low=spec.high - 1)

    def smallest(spec: Integers) -> Integers:
        return replace(spec, high=spec.low + 1)

    changed = [
        {name: end(spec) if isinstance(spec, Integers) else spec for name, spec in specs.items()}
        for end in (largest, smallest)
    ]
    return [other for place, other in enumerate(changed) if other not in (specs, *changed[:place])]


class _Model:
    """What is read of one model, before TensorFlow imports it.

    graph_def, index: the meta graph's graph with its inputs cut. names: the tensors of the inputs in it. outputs: each
    tensor to fetch -> its given name. fed: the tensors that are fed. unsafe: what must not be run, as graph.ops.unsafe
    tells it. variable_shapes: variable node -> shape.
    """

    def __init__(self, imported: ImportRecord, settings: Settings):
        """Raises Problem as graph_sources.read does."""
        self.imported = imported
        self.meta_graph = graph_sources.read(imported.graph)
        replicas.stand_in(self.meta_graph)
        self.graph_def, cuts = pruning.cut_inputs(self.meta_graph.graph_def, list(imported.inputs), imported.outputs)
        self.names = {name: cuts.get(name, name) for name in imported.inputs}
        self.outputs = {"{}:{}".format(*tensor_name(name)): name for name in imported.outputs}
        self.index = GraphIndex(self.graph_def)
        nodes = [tensor_name(name)[0] for name in self.outputs]
        self._kept = pruning.needed(self.index, nodes, with_colocated=False)
        filling = table_initializers(self.meta_graph, self.index, self._kept)
        self.initializers = left_to_run(self.index, self.meta_graph, filling)
        self.variable_shapes = {row.variable: row.shape for row in imported.variables if row.shape is not None}
        self.fed = {self.names[name] for name, spec in imported.inputs.items() if not isinstance(spec, Default)}
        self.allowed = set(settings.allow_ops)
        known = vocabularies.paths(imported)
        self.unsafe = unsafe_to_run(self.index, self.outputs, self.fed, self.initializers, self.allowed, known)
        names = [*nodes, *(tensor_name(name)[0] for name in self.names.values()), *self.initializers]
        self._restores = restores_of(self.index, self.meta_graph, imported, names)
        self.unsafe += unsafe_to_restore(self.index, self._restores, saver_nodes(self.meta_graph)[1], self.allowed)

    def keepers(self) -> list[NodeDef]:
        """The nodes by which another run may differ from the first in a session, or a restore from another."""
        restoring = executed(self.index, self._restores, {saver_nodes(self.meta_graph)[1]})
        changing = [self.index.nodes[name] for name in restoring if changes_by_itself(self.index.ops[name])]
        return [*changing, *state_keepers(self.index, self.outputs, self.fed, self.initializers)]

    def stale_shapes(self) -> str:
        """The first node whose `_output_shapes` TensorFlow refuses; empty where there is none."""
        graph_def = pruning.extract(self.index, self._kept)
        if not any("_output_shapes" in node.attr for node in graph_def.node):
            return ""
        pruning.drop_foreign_colocation(graph_def)
        for node in graph_def.node:
            node.device = ""
        try:
            with tf.Graph().as_default():
                import_to_look_at(graph_def, producer_ops(self.meta_graph))
        except ValueError as error:
            found = _STALE.search(str(error))
            return found[1] if found else ""
        return ""


class _Stage:
    """The checkpoint's side of one model, on which inputs are tried. `outputs` is as in the model.

    is_steady: whether a first run in a session always gives the same. All runs are in one session where what others
    have left there cannot decide whether they end.
    """

    def __init__(self, model: _Model, settings: Settings, directory: str):
        """Seeds the random ops of the model's graph, in place, and imports it; raises as CheckpointSide does."""
        self._model, self._seed, self._directory = model, settings.seed, directory
        self._deadline = time.monotonic() + _SEARCH_SHARE * settings.timeout
        self._names, self._index, self.outputs, self._fed = model.names, model.index, model.outputs, model.fed
        self._given, self._longest = Given(), 0.0
        seed_random_ops(model.graph_def)
        tensors = [*model.outputs, *model.names.values()]
        self._side = CheckpointSide(
            model.graph_def, model.meta_graph, model.imported, tensors, [], model.initializers, model.allowed
        )
        keepers = model.keepers()
        self.is_steady = all(is_seeded(node.op) for node in keepers)
        if not keepers or (self.is_steady and self._runs_whatever_is_drawn(keepers)):
            self._side.share_session()

    def _runs_whatever_is_drawn(self, random: list[NodeDef]) -> bool:
        if any(self._index.nodes.get(node.name) is not node for node in random):  # one in a function
            return False
        drawn = [f"{node.name}:{output}" for node in random for output in self._index.used_outputs(node.name)]
        return find_value_checks(self._index, self.outputs, self._fed, drawn) == []

    def unsteady(self, specs: Inputs, batch: int, outputs: list[str]) -> set[str]:
        """The outputs of nodes that do not give the same twice, op seeds set."""
        if self.is_steady:
            return set()
        try:
            first, second = (self._run(specs, batch, outputs) for _ in range(2))
        except RunFailed:
            return set()
        differing = {
            tensor_name(name)[0]
            for name, a, b in zip(outputs, first, second, strict=True)
            if not comparison.match(a, b)
        }
        return {name for name in outputs if tensor_name(name)[0] in differing}

    def attempt(self, specs: Inputs, batch: int, outputs: list[str]) -> str:
        """Runs the tensors `outputs`; returns what TensorFlow says where they do not run. Raises Problem (bad_feed)."""
        try:
            self._run(specs, batch, outputs)
            # Whether a graph runs depends on the values of integers, which index and count.
            for extreme in _extreme(specs):
                changed = {self._names[name] for name, spec in extreme.items() if spec != specs[name]}
                self._run_again(extreme, batch, outputs, changed)
        except RunFailed as failed:
            return str(failed) or failed.cause
        return ""

    def _run_again(self, specs: Inputs, batch: int, outputs: list[str], changed: set[str]) -> None:
        """Runs as much of the tensors `outputs`, which have run, as new values of the tensors `changed` may hinder."""
        checks = find_value_checks(self._index, outputs, self._fed, changed) if self.is_steady else None
        if checks == []:
            return
        try:
            self._run(specs, batch, checks or outputs)
        except RunFailed:
            if checks is None:
                raise
            self._run(specs, batch, outputs)  # which says why

    def _run(self, specs: Inputs, batch: int, outputs: list[str]) -> list[NDArray[Any]]:
        made = feeds.make(specs, self._seed, batch, self._directory)
        began = time.monotonic()
        found = self._side.run(outputs, {self._names[name]: value for name, value in made.items()})
        self._longest = max(self._longest, time.monotonic() - began)
        self._given.note(specs, batch, dict(zip(outputs, found, strict=True)))
        return found

    def seen(self, specs: Inputs, batches: list[int], output: str) -> Output:
        """What a tensor was in the runs on these inputs with these batch sizes."""
        dtype, shape = self._given.of(specs, batches, output)
        return Output(dtype, shape, meanings.meaning(self._index, output, dtype, shape))

    def search_sensible(self, specs: Inputs, outputs: list[str]) -> tuple[Inputs, int, str]:
        """As `search`, with sensible sizes for what the graph leaves open, where it runs on them.

        Where it does not, they are tried once more on what the search has found.
        """
        if sensible := self._sensible(specs, BATCHES[0], outputs):
            return sensible, BATCHES[0], ""
        found, batch, failure = self.search(specs, outputs)
        if not failure and found != specs:
            found = self._sensible(found, batch, outputs) or found
        return found, batch, failure

    def _sensible(self, specs: Inputs, batch: int, outputs: list[str]) -> Inputs | None:
        """The boldest proposal of sizes on which the outputs run; None where there is none, or they run on none."""
        nodes = [tensor_name(name)[0] for name in outputs]
        names = {name: tensor_name(given) for name, given in self._names.items()}
        for proposal in sizes.proposals(self._index, names, specs, self._model.variable_shapes, nodes):
            if time.monotonic() > self._deadline:
                return None
            with contextlib.suppress(Problem):  # There may be too little memory for larger inputs.
                if not self.attempt(proposal, batch, outputs):
                    return proposal
        return None

    def search(self, specs: Inputs, outputs: list[str]) -> tuple[Inputs, int, str]:
        """Inputs and batch size on which the outputs run, and ``; or the last tried, and what TensorFlow said.

        A change is kept where another node fails than before it: the error has moved on.
        """
        batch, tried = BATCHES[0], set[str]()
        failure = self.attempt(specs, batch, outputs)
        while failure:
            better = self._better(specs, batch, failure, outputs, tried)
            if better is None:
                break
            specs, batch, failure = better
        return specs, batch, failure

    def _better(
        self, specs: Inputs, batch: int, failure: str, outputs: list[str], tried: set[str]
    ) -> tuple[Inputs, int, str] | None:
        """The first alternative with which the outputs run or another node fails; None where there is none in time."""
        for other, size in alternatives(specs, batch, failure, self._suspects(specs, failing_node(failure))):
            key = json.dumps([other, size], sort_keys=True, default=msgspec.to_builtins)
            if key in tried:
                continue
            if len(tried) == _MOST_RUNS or time.monotonic() > self._deadline:
                return None
            tried.add(key)
            outcome = self.attempt(other, size, outputs)
            if not outcome or failing_node(outcome) not in ("", failing_node(failure)):
                return other, size, outcome
        return None

    def _suspects(self, specs: Inputs, node: str) -> set[str]:
        if node not in self._index.nodes:
            return set(specs)
        before = self._index.reach([node])
        return {name for name in specs if tensor_name(self._names[name])[0] in before}

    def sizes(self, specs: Inputs, batch: int, outputs: list[str]) -> list[int]:
        """Batch sizes on which the outputs run: `batch`, and another, where there are two."""
        if not feeds.has_batch(specs):
            return [batch]
        other = next(size for size in BATCHES if size != batch)
        if self._surely_runs(specs, other, outputs) or not self.attempt(specs, other, outputs):
            return [batch, other]
        return [batch]

    def _surely_runs(self, specs: Inputs, batch: int, outputs: list[str]) -> bool:
        """Whether the outputs, which have run, can be told to run with another batch size, and their shapes then."""
        if not self.is_steady or self._longest < _LONG:
            return False
        changed = {self._names[name] for name, spec in specs.items() if feeds.has_batch({name: spec})}
        checks = find_size_checks(self._index, outputs, self._fed, changed)
        if checks is None:
            return False
        made = feeds.make(specs, self._seed, batch, self._directory)
        fed = {self._names[name]: list(value.shape) for name, value in made.items()}
        shapes = infer(self._index, outputs, fed, self._model.allowed, producer_ops(self._model.meta_graph))
        if shapes is None:
            return False
        try:
            for values in [specs, *_extreme(specs)] if checks else []:
                self._run(values, batch, checks)
        except RunFailed:
            return False
        self._given.note_shapes(specs, batch, shapes)
        return True

    def needed_inputs(self, outputs: list[str], specs: Inputs) -> Inputs:
        """Those of the inputs `specs` that the outputs need."""
        chosen = [tensor_name(name) for name in specs]
        wanted = set(needed(GraphIndex(self._model.meta_graph.graph_def), outputs, chosen))
        return {name: spec for name, spec in specs.items() if tensor_name(name) in wanted}
