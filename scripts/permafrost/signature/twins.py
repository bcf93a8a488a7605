"""Variable nodes that are one variable by their shared_name: what is restored into one of them, all of them hold."""

from collections import defaultdict

from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.variables import Resource, may_have_shape, resource_name
from permafrost.model import Defect
from permafrost.records import Variable, is_known

# The fields of a row that say where its value lies, and how it comes from there.
_PLACE = ("key", "slice", "box", "bytes", "restored", "casts")


def share(rows: list[Variable], index: GraphIndex) -> None:
    """Has each row of a variable that the saver does not name take what it restores into another node of that variable.

    Where the nodes are restored from different tensors, or one of them has a defect, all of them have one.
    Args:
      rows: as importing.describe_variables has them, changed in place.
      index: of the meta graph.
    """
    groups: dict[Resource, list[Variable]] = defaultdict(list)
    for row in rows:
        groups[resource_name(index.nodes[row.variable])].append(row)
    for twins in groups.values():
        if len(twins) > 1:
            _share(twins)


def _share(twins: list[Variable]) -> None:
    restored = [row for row in twins if row.key]
    defects = [row.defect for row in twins if is_known(row.defect)]
    if len({(row.key, row.slice) for row in restored}) > 1:
        names, keys = " and ".join(repr(row.variable) for row in restored), " and ".join(repr(r.key) for r in restored)
        said = f"nodes {names} are one variable by their shared_name, and are restored from {keys}, in no certain order"
        defects.append(Defect("bad_meta_graph", said, ""))
    for row in twins if restored else ():
        if not row.key and not defects:
            _take(row, restored[0])
    for row in twins if defects else ():
        row.key, row.slice, row.box, row.bytes = "", "", None, None
        row.defect = defects[0]


def _take(row: Variable, other: Variable) -> None:
    """Has `row` take the place of another row of the same variable; or a defect, where it declares another variable."""
    if row.dtype_enum != other.dtype_enum or not may_have_shape(row.shape, other.shape):
        said = f"{row.dtype} of shape {row.shape}, and {other.variable!r}, {other.dtype} of shape {other.shape}"
        one = f"nodes {row.variable!r}, {said}, are one variable by their shared_name, which cannot be"
        row.defect = Defect("shape_mismatch", one, "")
        return
    for field in _PLACE:
        setattr(row, field, getattr(other, field))
    row.shape = other.shape
