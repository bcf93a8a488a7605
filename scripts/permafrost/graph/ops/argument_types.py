"""The DataTypes of a node's inputs and outputs, as the definition of its op gives them."""

from typing import Any

from permafrost.graph.dtypes import REFERENCE
from permafrost.graph.protos import NodeDef, OpDef

_MOST = 10_000


def argument_types(node: NodeDef, definition: OpDef, arguments: Any) -> list[int] | None:
    """The DataType of each input or output of a NodeDef, in order; None where they cannot be told.

    Args:
      definition: the OpDef of its op.
      arguments: `input_arg` or `output_arg` of the definition. References have the number of their dtype and REFERENCE.
    """
    defaults = {attr.name: attr.default_value for attr in definition.attr}

    def attribute(name: str) -> Any:
        return node.attr[name] if name in node.attr else defaults.get(name)

    types = []
    for arg in arguments:
        deciding = attribute(arg.type_list_attr or arg.type_attr)
        count = attribute(arg.number_attr) if arg.number_attr else None
        if (deciding is None and not arg.type) or (count is None and arg.number_attr):
            return None
        if arg.type_list_attr:
            types.extend(deciding.list.type)
        else:
            repeated = max(0, count.i) if count is not None else 1
            if repeated > _MOST:
                return None
            types.extend([(arg.type or deciding.type) + (REFERENCE if arg.is_ref else 0)] * repeated)
    return types
