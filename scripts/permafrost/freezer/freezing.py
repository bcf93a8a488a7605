"""Writes a frozen graph that is planned: straight from the checkpoint's bytes, whole or not at all."""

import contextlib
import os
from collections import Counter
from pathlib import Path

from permafrost.freezer import writer
from permafrost.freezer.planning import Plan
from permafrost.freezer.writer import Constant
from permafrost.records import written_whole


def freeze(plan: Plan, checkpoint, path: str | Path) -> dict:
    """Writes the frozen graph of a plan to `path`, whole or not at all, and gives the facts for its provenance.

    Args:
      checkpoint: an open checkpoint.reader.Checkpoint, whose files are checked to be unchanged at the end.
    Raises Problem (corrupt, changed, missing_shard, ...) and OSError; a file that was at `path` is gone then.
    """
    path = Path(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with written_whole(path) as temporary:
        size, checksum = writer.write(temporary, plan.graph_def, plan.constants, checkpoint)
        checkpoint.check_unchanged()
    ops = Counter("Const" if node.name in plan.constants else node.op for node in plan.graph_def.node)
    return {
        "frozen_bytes": size,
        "frozen_crc32c": f"{checksum:08x}",
        "frozen_nodes": len(plan.graph_def.node),
        "frozen_variables": len(plan.constants),
        "op_types": dict(sorted(ops.items())),
        "tensors": [_source(constant) for constant in plan.constants.values()],
        "initializers": plan.initializers,
        "cuts": plan.cuts,
        "repairs": plan.repairs,
    }


def _source(constant: Constant) -> dict:
    """Which tensor of the checkpoint a constant was written from, as an entry of the provenance."""
    return {
        "node": constant.node,
        "key": constant.key,
        "box": [constant.start, constant.extent] if constant.start is not None else None,
        "shape": constant.shape,
        "bytes": constant.nbytes,
    }
