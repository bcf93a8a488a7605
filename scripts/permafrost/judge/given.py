"""What the runs of a graph gave: the dtype and the shape of each tensor, by what was fed."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from permafrost.input_kinds import Inputs, Shape

_Fed = tuple[int, tuple[tuple[str, str], ...]]  # the batch size, and the shape of each input as text


class Given:
    """The dtypes and shapes that were seen so far."""

    def __init__(self) -> None:
        self._seen: dict[_Fed, dict[str, tuple[str, Shape | None]]] = {}

    def note(self, specs: Inputs, batch: int, values: Mapping[str, NDArray[Any]]) -> None:
        """Notes what the tensors `values` were in a run on these inputs."""
        self.note_shapes(specs, batch, {name: (_dtype(value), list(value.shape)) for name, value in values.items()})

    def note_shapes(self, specs: Inputs, batch: int, found: Mapping[str, tuple[str, Shape]]) -> None:
        """Notes the dtypes and the shapes of tensors on these inputs."""
        seen = self._seen.setdefault(_fed(specs, batch), {})
        for name, (dtype, shape) in found.items():
            seen[name] = (dtype, _merged(seen[name][1], shape) if name in seen else shape)

    def of(self, specs: Inputs, batches: list[int], name: str) -> tuple[str, Shape | None]:
        """The dtype and the shape of a tensor on these inputs, with None for what changed; "" and None if not seen."""
        found = [self._seen.get(_fed(specs, batch), {}).get(name) for batch in batches]
        seen = [each for each in found if each is not None]
        if not seen:
            return "", None
        shape = seen[0][1]
        for _, other in seen[1:]:
            shape = _merged(shape, other)
        return seen[0][0], shape


def _dtype(value: NDArray[Any]) -> str:
    return "string" if value.dtype.kind == "O" else value.dtype.name


def _fed(specs: Inputs, batch: int) -> _Fed:
    return batch, tuple((name, str(spec.shape)) for name, spec in sorted(specs.items()))


def _merged(one: Shape | None, other: Shape | None) -> Shape | None:
    """The shape of which both are cases; None for two ranks."""
    if one is None or other is None or len(one) != len(other):
        return None
    return [a if a == b else None for a, b in zip(one, other, strict=True)]
