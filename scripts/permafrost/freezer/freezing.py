"""Writes a frozen graph that is planned: straight from the checkpoint's bytes, whole or not at all."""

import contextlib
import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import Any

from permafrost.freezer import contents, writer
from permafrost.freezer.contents import Constant
from permafrost.freezer.planning import Plan
from permafrost.records import Provenance, Tensor
from permafrost.whole_files import written_whole


def freeze(plan: Plan, checkpoint: Any, path: str | Path, record: Provenance) -> None:
    """Writes the frozen graph of a plan to `path`, whole or not at all, and says in `record` what it is.

    Args:
      checkpoint: an open checkpoint.reader.Checkpoint, whose files are checked to be unchanged at the end.
    Raises Problem (corrupt, changed, missing_shard, ...) and OSError; a file that was at `path` is gone then.
    """
    path = Path(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with written_whole(path) as temporary:
        record.frozen_bytes, checksum = writer.write(
            temporary, plan.graph_def, plan.constants | plan.contents, checkpoint
        )
        checkpoint.check_unchanged()
    record.frozen_crc32c = f"{checksum:08x}"
    record.frozen_nodes, record.frozen_variables = len(plan.graph_def.node), len(plan.constants)
    ops = Counter("Const" if node.name in plan.constants else node.op for node in plan.graph_def.node)
    record.op_types = dict(sorted(ops.items()))
    if plan.initialized:
        held = {name: contents.read(plan.constants[name], checkpoint) for name in plan.initialized}
        record.initialized = {name: hashlib.sha256(content).hexdigest() for name, content in held.items()}
    record.tensors = [_tensor(constant) for constant in [*plan.constants.values(), *plan.contents.values()]]
    record.initializers, record.cuts, record.repairs = plan.initializers, plan.cuts, plan.repairs


def _tensor(constant: Constant) -> Tensor:
    box = None
    if constant.start is not None and constant.extent is not None:
        box = (list(constant.start), list(constant.extent))
    return Tensor(constant.node, constant.key, box, list(constant.shape), constant.nbytes)
