"""The negative control: outputs have to change when a variable does, or their equality shows nothing."""

import numpy as np

from permafrost import comparison
from permafrost.metagraph import tensor_name
from permafrost.pair import Pair
from permafrost.sides import RunFailed

_MOST_PERTURBED = 12


def change_variables(pair: Pair, feed: dict, expected: list[np.ndarray], tolerances: dict[str, dict | None]) -> dict:
    """Changes whole variables of the frozen graph, nearest the outputs first, until an output changes.

    Args:
      feed: the arrays of one trial, by the names of the import record.
      expected: what the checkpoint's side gives for `pair.fetched` on it.
      tolerances: of each of these.
    Returns `variable` and `output`, the first pair of which one changes the other, and `tried`, the number of
      variables changed; a tensor before a head stands in for outputs that no change reaches. `variable` is None where
      nothing changed.
    """
    control = {"variable": None, "output": None, "tried": 0}
    for name in _nearest_first(pair):
        if control["tried"] == _MOST_PERTURBED:
            break
        before = pair.frozen.values().get(name)
        changed = _perturbed(pair.frozen.constant(name) if before is None else before)
        if changed is None:
            continue
        control["tried"] += 1
        try:
            actual = pair.run_frozen(pair.fetched, feed, (name, changed))
        except RunFailed:
            continue  # The change made the graph fail, as an index out of range does; that shows nothing.
        for tensor, a, b in zip(pair.fetched, expected, actual, strict=True):
            if not comparison.match(a, b, tolerances[tensor]):
                if tensor in pair.outputs:
                    return control | {"variable": name, "output": tensor}
                if control["variable"] is None:
                    control |= {"variable": name, "output": tensor}
    return control


def sentence(control: dict) -> str:
    """What a control without a variable shows."""
    if not control["tried"]:
        return "there is no variable whose change could change an output, so the comparison shows nothing"
    return f"changing {control['tried']} variables changed no output on these inputs, so the comparison shows nothing"


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


def _nearest_first(pair: Pair) -> list[str]:
    """The variables, constants now or not, by their distance from the outputs."""
    index = pair.frozen.index
    waiting = [name for name in dict.fromkeys(tensor_name(output)[0] for output in pair.outputs) if name in index.nodes]
    seen = set(waiting)
    for name in waiting:
        for source, _ in index.inputs_of(index.nodes[name]):
            if source not in seen and source in index.nodes:
                seen.add(source)
                waiting.append(source)
    variables = {*pair.constants, *pair.frozen.values()}
    return [name for name in waiting if name in variables]
