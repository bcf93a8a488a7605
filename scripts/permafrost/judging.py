"""The judge: TensorFlow says whether a frozen graph is the same function as its checkpoint.

Runs in a limited child process (permafrost.sandbox), since a stranger's graph is a program. Four layers, each able
to fail: every node is the meta graph's own; every constant made from a variable is what TensorFlow restores; the
outputs of both sides are equal on the same feeds, each trial in fresh sessions; and after a change of one variable
they are not, since a judge that cannot say no proves nothing.
"""

import sys

import numpy as np

from permafrost import comparison, feeds, structure
from permafrost.contract import Problem
from permafrost.metagraph import VARIABLE_OPS, GraphIndex, read_meta_graph, tensor_name
from permafrost.sides import CheckpointSide, FrozenSide, RunFailed, seed_random_ops
from permafrost.unsafe_ops import unsafe_nodes

# The batch sizes to try, in this order, until the checkpoint's graph runs; many graphs hide a fixed one.
_BATCHES = (2, 3, 1, 4, 8, 16, 32, 64, 100, 128, 256, 10, 20, 50)
_MOST_PERTURBED = 12


def judge(imported: dict, provenance: dict, frozen_graph: str, settings: dict, directory: str) -> dict:
    """Compares a model's checkpoint with its frozen graph.

    Args:
      imported, provenance: the model's records.
      frozen_graph: path of the .pb.
      settings: trials, seed, tolerance, allow_ops.
      directory: where relative `file:` inputs are looked up.
    Returns a JSON-able dict: match, trials, batches, seeds, max_abs_diff, weights, nodes_checked, control, random_ops
      and rows (one for each output and trial, with comparison.VERIFICATION_COLUMNS).
    Raises Problem with a cause that says what was found (see permafrost.contract).
    """
    meta_graph = read_meta_graph(imported["meta"])
    fed = {name: spec for name, spec in imported["inputs"].items() if spec["kind"] != "default"}
    outputs = [name if ":" in name else f"{name}:0" for name in imported["outputs"]]
    _refuse_unsafe(meta_graph, imported, provenance, set(settings["allow_ops"]))

    frozen = FrozenSide.read(frozen_graph)
    nodes_checked = structure.check(meta_graph, frozen.graph_def, provenance["cuts"])
    random_ops = seed_random_ops(meta_graph.graph_def)
    seed_random_ops(frozen.graph_def)
    original = CheckpointSide(meta_graph, imported, provenance["initializers"], [*outputs, *fed])
    frozen.load(provenance["initializers"])
    weights = _compare_weights(original, frozen)

    def pair(feed: dict) -> tuple[list[np.ndarray], list[np.ndarray]]:
        expected = _expected(original, outputs, feed)
        try:
            return expected, frozen.run(outputs, {provenance["inputs"][name]: value for name, value in feed.items()})
        except RunFailed as failed:
            raise Problem(
                "outputs_differ", f"the checkpoint's graph runs, but the frozen graph does not: {failed}"
            ) from failed

    rows, matches, batches, feed = [], [], [], {}
    for trial, batch in enumerate(_batches(original, outputs, fed, settings, directory)):
        seed = settings["seed"] + trial
        feed = feeds.make(fed, seed, batch, directory)
        expected, actual = pair(feed)
        batches.append(batch)
        for name, a, b in zip(outputs, expected, actual, strict=True):
            match = comparison.match(a, b, settings["tolerance"])
            matches.append(match)
            row = {"output": name, "trial": trial, "seed": seed, "batch": batch, "dtype": str(a.dtype)}
            rows.append(row | {"shape": str(list(a.shape)), "match": match, **comparison.measure(a, b)})
    facts = {
        "match": "bitwise" if all(match == "bitwise" for match in matches) else "tolerance",
        "trials": len(batches),
        "batches": batches,
        "max_abs_diff": max((row["max_abs_diff"] for row in rows if row["max_abs_diff"] is not None), default=None),
        "weights": weights,
        "nodes_checked": nodes_checked,
        "random_ops": random_ops,
        "rows": rows,
    }
    if not all(matches):
        worst = next(row for row in rows if not row["match"])
        where = _first_difference(original, frozen, feed, provenance["inputs"], outputs)
        facts["difference"] = (
            f"output {worst['output']} differs in trial {worst['trial']}: {worst['unequal']} elements unequal, "
            f"largest difference {worst['max_abs_diff']}"
            + (f"; the first tensor that differs is {where}" if where else "")
        )
        return facts
    control = _negative_control(original, frozen, feed, provenance["inputs"], outputs, settings["tolerance"])
    return facts | {"control": control}


def _expected(original: CheckpointSide, outputs: list[str], feed: dict) -> list[np.ndarray]:
    try:
        return original.run(outputs, feed)
    except RunFailed as failed:
        raise Problem(failed.cause, f"the checkpoint's graph does not run on these inputs: {failed}") from failed


def _refuse_unsafe(meta_graph, imported: dict, provenance: dict, allowed: set[str]) -> None:
    """Nothing that touches files, processes or the network is run, but for the saver's own restore ops."""
    index = GraphIndex(meta_graph.graph_def)
    fed = {tensor_name(name)[0] for name in imported["inputs"]}
    roots = [tensor_name(name)[0] for name in imported["outputs"]] + provenance["initializers"]
    running = index.reach(roots, through=lambda node: node.name not in fed) - fed
    found = unsafe_nodes(meta_graph.graph_def, running, allowed)
    restore_op = meta_graph.saver_def.restore_op_name
    if restore_op:
        restoring = index.reach([restore_op])
        found += [
            row
            for row in unsafe_nodes(meta_graph.graph_def, restoring, allowed)
            if row[1] not in ("RestoreV2", "RestoreSlice", "Restore")
        ]
    if found:
        name, op, reason = found[0]
        raise Problem("unsafe_op", f"node {name!r} ({op}) {reason}; it was not run")


def _compare_weights(original: CheckpointSide, frozen: FrozenSide) -> int:
    """Compares each Const that was a variable with what TensorFlow restores, byte for byte; returns their number."""
    constants = {node.name: node for node in frozen.graph_def.node if node.op == "Const"}
    compared = 0
    with original.restored() as session:
        for name in original.variables():
            if name in constants:
                expected, actual = original.value(session, name), frozen.constant(name)
                if comparison.match(expected, actual) != "bitwise" or expected.tobytes() != actual.tobytes():
                    raise Problem("weights_differ", f"constant {name!r} is not what the checkpoint holds")
                compared += 1
    return compared


def _batches(original: CheckpointSide, outputs: list[str], fed: dict, settings: dict, directory: str) -> list[int]:
    """The batch size of each trial: two sizes in turn, or one where the graph takes only one.

    Raises Problem: run_failed or bad_feed with what TensorFlow said of the first size tried.
    """
    has_batch = any(None in (spec.get("shape") or []) for spec in fed.values())
    first_error, good = None, []
    for batch in _BATCHES if has_batch else _BATCHES[:1]:
        try:
            original.run(outputs, feeds.make(fed, settings["seed"], batch, directory))
            good.append(batch)
        except RunFailed as failed:
            first_error = first_error or failed
            print(f"batch size {batch}: {failed}", file=sys.stderr)
        if len(good) == 2 or (good and good[0] not in _BATCHES[:2]):
            break
    if not good:
        raise Problem(first_error.cause, f"the checkpoint's graph does not run on these inputs: {first_error}")
    return [good[trial % len(good)] for trial in range(settings["trials"])]


def _negative_control(original, frozen, feed: dict, names: dict, outputs: list[str], tolerance: dict | None) -> dict:
    """Changes whole variables of the frozen graph, nearest the outputs first, until an output changes.

    Raises Problem (insensitive) where no change of a variable changes an output.
    """
    expected = _expected(original, outputs, feed)
    frozen_feed = {names[name]: value for name, value in feed.items()}
    tried = []
    for name in _nearest_first(frozen.graph_def, outputs, set(original.variables())):
        changed = _perturbed(frozen.constant(name))
        if changed is None:
            continue
        tried.append(name)
        try:
            actual = frozen.run(outputs, frozen_feed | {f"{name}:0": changed})
        except RunFailed:
            continue  # The change made the graph fail, as an index out of range does; that shows nothing.
        if not all(comparison.match(a, b, tolerance) for a, b in zip(expected, actual, strict=True)):
            return {"variable": name, "tried": len(tried)}
        if len(tried) == _MOST_PERTURBED:
            break
    what = f"changing {', '.join(tried[:3])} changed" if tried else "there is no variable whose change could change"
    raise Problem("insensitive", f"{what} no output on these inputs, so the comparison shows nothing")


def _perturbed(value: np.ndarray) -> np.ndarray | None:
    if value.size == 0 or value.dtype.kind in "OSU":
        return None
    if value.dtype == bool:
        return ~value
    if value.dtype.kind in "iu":
        return value + value.dtype.type(1)
    # Uneven, so that neither a softmax nor a normalisation takes it back.
    uneven = np.linspace(0.5, 1.5, value.size).reshape(value.shape)
    return (value.astype(np.complex128 if value.dtype.kind == "c" else np.float64) * (1 + uneven) + uneven).astype(
        value.dtype
    )


def _nearest_first(graph_def, outputs: list[str], variables: set[str]) -> list[str]:
    index = GraphIndex(graph_def)
    distance = {tensor_name(name)[0]: 0 for name in outputs}
    waiting = list(distance)
    for name in waiting:
        for source, _ in index.inputs_of(index.nodes[name]):
            if source not in distance and source in index.nodes:
                distance[source] = distance[name] + 1
                waiting.append(source)
    return [name for name in waiting if name in variables and index.nodes[name].op == "Const"]


def _first_difference(original, frozen, feed: dict, names: dict, outputs: list[str]) -> str:
    """The first tensor, in the order of the data, that both sides have and that differs, or ``."""
    index = GraphIndex(frozen.graph_def)
    reached = index.reach(tensor_name(name)[0] for name in outputs)
    frozen_feed = {names[name]: value for name, value in feed.items()}
    for name in _in_data_order(index, reached):
        tensor = f"{name}:0"
        if tensor in feed or index.nodes[name].op in VARIABLE_OPS:
            continue
        try:
            (a,), (b,) = original.run([tensor], feed), frozen.run([tensor], frozen_feed)
        except (RunFailed, KeyError, ValueError, TypeError):
            continue  # Inside a loop, without outputs, or not on both sides.
        if not comparison.match(a, b):
            return f"{tensor} ({index.nodes[name].op})"
    return ""


def _in_data_order(index: GraphIndex, reached: set[str]) -> list[str]:
    order, done = [], set()
    for start in sorted(reached):
        stack = [(start, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                order.append(name)
            elif name not in done and name in reached:
                done.add(name)
                stack.append((name, True))
                stack.extend((source, False) for source, _ in index.inputs_of(index.nodes[name]))
    return order
