"""The judge: TensorFlow says whether a frozen graph is the same function as its checkpoint.

Runs in a limited child process (sandbox.runner), since a stranger's graph is a program. Four layers, each able
to fail: every node is the meta graph's own; every constant made from a variable is what TensorFlow restores; the
outputs of both sides are equal on the same feeds, each trial in fresh sessions, or in one of each side where nothing
that is run could tell; and after a change of one variable they are not, since a judge that cannot say no proves
nothing.
"""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct
from numpy.typing import NDArray

from permafrost import recording
from permafrost.graph.index import tensor_name
from permafrost.graph.ops.unsafe import unsafe_to_restore, unsafe_to_run
from permafrost.graph.pruning import PLACEHOLDERS
from permafrost.graph.tensorflow_import import evaluated_unsafe, refuse
from permafrost.judge import behaviour, comparison, devices, initializers, negative_control, tables
from permafrost.judge.comparison import Row
from permafrost.judge.feed_search import BATCHES
from permafrost.judge.graphs import Graphs
from permafrost.judge.pair import Pair
from permafrost.judge.sessions import Feed, RunFailed
from permafrost.judge.sides import CheckpointSide, FrozenSide, saver_nodes
from permafrost.judge.structure import nodes, uncaptured_state
from permafrost.model import Settings, Tolerance
from permafrost.outcome import Problem
from permafrost.records import ForeignProvenance, ImportRecord, Provenance, Verdict, known
from permafrost.signature import feeds

T = TypeVar("T")

# How often a graph is run again before its outputs are said to be always the same.
_RUNS_OF_THE_UNSTEADY = 4


class Finding(Struct):
    """Why a model is not verified: outputs_differ, random, unordered or insensitive, and what was seen."""

    cause: str
    message: str


class Judgement(Struct):
    """What was measured, a row for each tensor and trial, and what was found where the model is not verified.

    `measured.match` is empty unless all trials match, and `measured.control` is there where they do.
    """

    measured: Verdict
    rows: list[Row]
    finding: Finding | None = None


class FirstTrial(NamedTuple):
    """What the frozen side was fed in the first trial and gave for the outputs, by its tensors.

    is_frozen: whether it could be run so by itself, having no variables.
    """

    fed: Feed
    given: Feed
    is_frozen: bool


def judge(
    imported: ImportRecord,
    provenance: Provenance,
    frozen_graph: str,
    settings: Settings,
    directory: str,
    tell: Callable[[FirstTrial], None] | None = None,
) -> Judgement:
    """Compares a model's checkpoint with the frozen graph that was made of it here.

    Args:
      imported, provenance: the model's records.
      frozen_graph: path of the .pb.
      settings: trials, seed, tolerance, output_tolerance, allow_ops.
      directory: where relative `file:` inputs are looked up.
      tell: is told the first trial, in which the sides may differ.
    Raises Problem with a cause that says what was found before there was anything to compare (permafrost.outcome).
      The weights have been compared before the outputs' part of the graph is looked at or run.
    """
    graphs = Graphs(imported, provenance, frozen_graph)
    initialized = initializers.of_unsaved(graphs.meta_graph, graphs.index, imported.variables)
    checked = _check_structure(graphs, imported, provenance, initialized)
    _refuse_uncaptured_state(graphs, initialized)
    devices.check(graphs.index.nodes, graphs.frozen.graph_def, provenance.options.clear_devices)
    found = _compare(graphs, provenance.frozen_variables, settings, directory, tell)
    found.measured.nodes_checked = checked
    return found


def judge_foreign(
    imported: ImportRecord, provenance: ForeignProvenance, frozen_graph: str, settings: Settings, directory: str
) -> Judgement:
    """As `judge`, for a frozen graph that another tool made of the checkpoint.

    Another tool may have changed the graph in ways of its own, so a difference of structure is told, and not judged:
    `structure`, `same` or the first difference, stands in place of `nodes_checked`.
    Args:
      provenance: as signature.foreign.provenance makes it.
    Raises Problem: not_frozen for a variable that the outputs need and that is not a constant, structure_differs where
    the file lacks what a restore, a loader or what fills a table leaves behind.
    """
    graphs = Graphs(imported, provenance, frozen_graph)
    if graphs.kept:
        name = graphs.kept[0]
        op = graphs.frozen.index.nodes[name].op
        raise Problem("not_frozen", f"node {name!r} is still a variable ({op}), and the file has no value for it")
    initialized = initializers.of_unsaved(graphs.meta_graph, graphs.index, imported.variables)
    try:
        _check_structure(graphs, imported, provenance, initialized)
        structure_found = "same"
    except Problem as problem:
        structure_found = problem.message
    _refuse_uncaptured_state(graphs, initialized)
    fed = {f"{name}:0" for name, node in graphs.frozen.index.nodes.items() if node.op in PLACEHOLDERS}
    allowed = set(settings.allow_ops)
    refuse(unsafe_to_run(graphs.frozen.index, graphs.fetched, fed, graphs.frozen.initializers, allowed))
    found = _compare(graphs, len(graphs.constants), settings, directory)
    found.measured.structure = structure_found
    return found


def _check_structure(
    graphs: Graphs, imported: ImportRecord, provenance: Provenance, initialized: dict[str, str]
) -> int:
    restored = graphs.given | initialized.keys()
    cuts, outputs = provenance.cuts, imported.outputs
    values = baked_values(graphs)
    return nodes.check(graphs.meta_graph, graphs.frozen.graph_def, cuts, outputs, restored, values, graphs.fed)


def baked_values(graphs: Graphs) -> dict[str, NDArray[Any]]:
    """Placeholder of the checkpoint's side -> the value that the frozen graph has in its place."""
    specs = {name: spec for name, spec in graphs.inputs.items() if name in graphs.baked}
    return {tensor_name(graphs.names[name])[0]: value for name, value in feeds.make(specs, 0, 1, ".").items()}


def _refuse_uncaptured_state(graphs: Graphs, initialized: dict[str, str]) -> None:
    frozen, own, after = graphs.frozen, set(initialized.values()), known(graphs.imported.initializers, [])
    graph_defs = graphs.graph_def, frozen.graph_def
    uncaptured_state.refuse(graphs.meta_graph, *graph_defs, graphs.outputs, frozen.initializers, own, after)


def _compare(
    graphs: Graphs,
    frozen_variables: int,
    settings: Settings,
    directory: str,
    tell: Callable[[FirstTrial], None] | None = None,
) -> Judgement:
    """Weights, then outputs, then the negative control; nothing is run before it is known to be safe."""
    allowed = set(settings.allow_ops)
    _refuse_unsafe_restore(graphs, allowed)
    harmless = graphs.vocabularies
    refuse(unsafe_to_run(graphs.index, [], set(), known(graphs.imported.initializers, []), allowed, harmless))
    unsafe = unsafe_to_run(graphs.index, graphs.fetched, graphs.fed, graphs.initializers, allowed, harmless)
    unsafe += evaluated_unsafe(graphs.frozen.graph_def, allowed)
    if unsafe:
        _compare_weights(graphs, _restored_only(graphs, allowed), frozen_variables)
        refuse(unsafe)
    pair = Pair(graphs, allowed)
    frozen = _frozen_side(pair, settings, directory)
    weights = _compare_weights(graphs, pair.original, frozen_variables)
    tables.compare(graphs.index, graphs.frozen.index, pair.original, frozen)
    for name in graphs.outputs:
        if not pair.original.has(name):
            raise Problem("unknown_output", f"the graph has no tensor {name!r}, which is to be an output")
    pair.give_kept()
    found = _compare_outputs(pair, settings, directory, tell)
    found.measured.weights, found.measured.random_ops = weights, pair.random_ops
    return found


def _frozen_side(pair: Pair, settings: Settings, directory: str) -> FrozenSide:
    """The frozen side; one that cannot be imported may have a constant on which no graph could run."""
    try:
        return pair.frozen
    except Problem as problem:
        if problem.cause == "not_importable" and pair.graphs.baked:
            _expected(pair, pair.graphs.feed(settings.seed, _batches(pair, 1)[0], directory), pair.run_original)
        raise


def _restored_only(graphs: Graphs, allowed: set[str]) -> CheckpointSide:
    """The checkpoint's side of which TensorFlow sees nothing but the variables and what restores them."""
    variables = graphs.constants + graphs.kept
    return CheckpointSide(graphs.graph_def, graphs.meta_graph, graphs.imported, [], variables, [], allowed)


def _refuse_unsafe_restore(graphs: Graphs, allowed: set[str]) -> None:
    """Nothing that touches files, processes or the network is run, but for the saver's own restore ops."""
    restore_op, filename = saver_nodes(graphs.meta_graph)
    if not restore_op:
        return
    if restore_op not in graphs.index.nodes:
        raise Problem("not_restorable", f"the graph lacks the node {restore_op!r}, which its saver runs to restore")
    refuse(unsafe_to_restore(graphs.index, graphs.restores, filename, allowed))


def _compare_weights(graphs: Graphs, original: CheckpointSide, expected_number: int) -> int:
    """Compares each Const that was a variable with what TensorFlow restores, byte for byte; returns their number."""
    with original.restored(is_only_read=True) as session:
        for name, value in original.values(session, graphs.constants):
            if not comparison.same_bytes(value, graphs.frozen.constant(name)):
                raise Problem("weights_differ", f"constant {name!r} is not what the checkpoint holds")
    if len(graphs.constants) != expected_number:
        raise Problem(
            "weights_differ",
            f"{len(graphs.constants)} constants of the frozen graph are variables of the meta graph, but "
            f"provenance.json says {expected_number}",
        )
    return len(graphs.constants)


def _compare_outputs(
    pair: Pair, settings: Settings, directory: str, tell: Callable[[FirstTrial], None] | None
) -> Judgement:
    rows, batches, feeds_tried, finding = [], [], [], None
    behaviours: dict[str, str] = {}
    tolerances = _tolerances(pair, settings)
    for trial, batch in enumerate(_batches(pair, settings.trials)):
        seed = settings.seed + trial
        feed = pair.graphs.feed(seed, batch, directory)
        if trial:
            expected = _expected(pair, feed, pair.run_original)
        else:  # What is random or carries something on shows in one trial as well as in all.
            expected, again = _expected(pair, feed, pair.run_original_again)
            behaviours = behaviour.of_outputs(pair, expected, again)
        batches.append(batch)
        feeds_tried.append(feed)
        if (not trial or pair.original.ordered.is_open) and (tensor := pair.lost_order(feed, expected)):
            finding = Finding("unordered", _unordered(pair, tensor, trial))
            break
        try:
            actual = pair.run_frozen(pair.graphs.fetched, feed)
        except RunFailed as failed:
            if pair.graphs.is_foreign and failed.cause == "bad_feed":
                raise Problem(
                    "bad_feed", f"the frozen graph does not take what its checkpoint takes: {failed}"
                ) from None
            finding = Finding("outputs_differ", f"the checkpoint's graph runs, but the frozen graph does not: {failed}")
            break
        if tell and not trial:
            given = dict(zip(pair.graphs.outputs, actual, strict=False))
            tell(FirstTrial(pair.to_frozen(feed), given, not pair.graphs.kept))
        for name, a, b in zip(pair.graphs.fetched, expected, actual, strict=True):
            found = comparison.compare(a, b, tolerances[name])
            found |= {"seed": seed, "batch": batch, "session": pair.session, "behaviour": behaviours[name]}
            rows.append(Row(output=name, trial=trial, **found))
            if not rows[-1].match and finding is None:
                finding = _difference(pair, rows[-1], feed, expected)
    if finding is None and (unseen := pair.unseen_races(feeds_tried)):
        finding = Finding("unordered", _unseen(*unseen[0]))
    if finding is None and (tensor := pair.not_given(feeds_tried[0])):
        finding = Finding("unordered", _unordered(pair, tensor, 0))
    matches = [row.match for row in rows]
    measured = recording.begun(Verdict, "")
    measured.match = "" if finding else "bitwise" if all(match == "bitwise" for match in matches) else "tolerance"
    measured.behaviour = behaviour.worst({row.behaviour for row in rows})
    measured.trials, measured.batches = len(batches), batches
    measured.max_abs_diff = comparison.largest(row.max_abs_diff for row in rows)
    measured.tolerance_used = comparison.largest(row.tolerance_used for row in rows)
    if finding is None:
        measured.control = negative_control.change_variables(pair, feed, expected, tolerances)
        if not measured.control.variable:
            finding = Finding("insensitive", negative_control.sentence(measured.control))
    return Judgement(measured, rows, finding)


def _tolerances(pair: Pair, settings: Settings) -> dict[str, Tolerance | None]:
    """The tolerance of each fetched tensor: what goes into a head has that of the head."""
    own = {"{}:{}".format(*tensor_name(name)): given for name, given in settings.output_tolerance.items()}
    if unknown := own.keys() - set(pair.graphs.outputs):
        names = ", ".join(pair.graphs.outputs[:10])
        raise Problem("bad_setting", f"`output_tolerance:` names {min(unknown)}, which is none of the outputs {names}")
    return {name: own.get(pair.graphs.before_heads.get(name, name), settings.tolerance) for name in pair.graphs.fetched}


def _unordered(pair: Pair, tensor: str, trial: int) -> str:
    if not pair.original.ordered.is_open:
        return (
            f"{tensor} depends on the order of a read and a write of one variable, and in trial {trial}, or on larger "
            "inputs, most of TensorFlow's runs do not keep it once its optimisers have changed the graph"
        )
    return (
        f"{tensor} depends on a read and a write of one variable whose order the graph leaves open, and in trial "
        f"{trial}, or on larger inputs, most of TensorFlow's runs give something else than where reads come first"
    )


def _unseen(read: str, write: str) -> str:
    return (
        f"node {read!r} reads a variable that {write!r} writes to, in no order, and in no trial did both of them run, "
        "so that what TensorFlow makes of it was not seen"
    )


def _expected(pair: Pair, feed: Feed, run: Callable[[list[str], Feed], T]) -> T:
    """What one of the pair's ways to run the checkpoint's side gives; Problem where that side does not run."""
    try:
        return run(pair.graphs.fetched, feed)
    except RunFailed as failed:
        if pair.graphs.baked:
            raise _baked_wrong(pair, feed, failed) from failed
        raise Problem(failed.cause, f"the checkpoint's graph does not run on these inputs: {failed}") from failed


def _baked_wrong(pair: Pair, feed: Feed, failed: RunFailed) -> Problem:
    """What to say of a failed run: with an input's own value in place of the baked one the graph may run."""
    for name in pair.graphs.baked:
        with contextlib.suppress(RunFailed, Problem):
            own = feeds.make({name: pair.graphs.imported.inputs[name]}, 0, 1, ".")
            other = {key: value for key, value in feed.items() if key != name} | own
            pair.run_original(pair.graphs.fetched, other)
            said = f"`bake:` gives input {name} a value on which the checkpoint's graph does not run: {failed}"
            return Problem("bad_setting", said, "give it another value, or leave it out of `bake:`")
    names = ", ".join(pair.graphs.baked)
    return Problem(
        failed.cause, f"the checkpoint's graph does not run on these inputs, of which {names} are baked: {failed}"
    )


def _difference(pair: Pair, row: Row, feed: Feed, expected: list[NDArray[Any]]) -> Finding:
    """The finding for an output that does not match: what is random by itself tells nothing."""
    if pair.original.ordered.is_open:
        return Finding("unordered", _unordered(pair, row.output, row.trial))
    for _ in range(_RUNS_OF_THE_UNSTEADY):
        again = _expected(pair, feed, pair.run_original)
        for name, first, second in zip(pair.graphs.fetched, expected, again, strict=True):
            if not comparison.match(first, second):
                return Finding(
                    "random",
                    f"{name} differs between two runs of the checkpoint's own graph, op seeds set: "
                    f"{comparison.said(comparison.first_unequal(first, second))}",
                )
    return Finding(
        "outputs_differ",
        f"output {row.output} differs in trial {row.trial}: {row.unequal} elements unequal, largest "
        f"difference {row.max_abs_diff}, {comparison.said(row)}",
    )


def _batches(pair: Pair, trials: int) -> list[int]:
    """The batch size of each trial: the sizes on which the model ran when it was imported, in turn."""
    sizes = pair.graphs.batches or (BATCHES[:2] if feeds.has_batch(pair.graphs.inputs) else BATCHES[:1])
    return [sizes[trial % len(sizes)] for trial in range(trials)]
