"""Makes a SavedModel of a frozen graph: the .pb's bytes in a frame with signatures, which this process writes.

Where its settings bake inputs, the frame is around a second .pb, which is frozen with these baked and judged by itself.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import structs

from permafrost import layout, recording
from permafrost.export_records import SAVED_MODEL, Signature
from permafrost.graph.index import GraphIndex
from permafrost.records import Provenance, known
from permafrost.sandbox import limits
from permafrost.stages import freeze_model
from permafrost.stages.export_model import Made, Task

_FILE = layout.EXPORTED[SAVED_MODEL][0]


def make(task: Task) -> Made:
    """Writes saved_model/saved_model.pb.

    Raises Problem and Refused as exporter.saved_model does, Problem as freeze_model.write and signature.baking do, and
    OSError.
    """
    made: Made = limits.held(task.settings, _make, task)
    return made


def _make(task: Task) -> Made:
    baked = _baked(task) if task.settings.saved_model.bake else {}
    if not baked:
        return Made(_write(task), {}, [], "framed")
    from permafrost.signature import baking

    told = baking.told(baked)
    with tempfile.TemporaryDirectory() as directory:
        second = Path(directory) / layout.FROZEN_GRAPH
        provenance = _frozen_anew(task, baked, second)
        signature = _write(task._replace(provenance=provenance, frozen_graph=second))
    changes = [f"{each.repair}: {each.node}" for each in provenance.repairs if each not in task.provenance.repairs]
    return Made(signature, told, changes, "framed", initializers=provenance.initializers)


def _baked(task: Task) -> dict[str, Any]:
    """The inputs of the frozen graph that the SavedModel has as constants, with their values.

    Raises Problem (bad_setting) where one of them is a constant already, of another value.
    """
    from permafrost.signature import baking

    names = task.settings.signature.inputs
    chosen = baking.chosen(task.imported.inputs, task.settings.saved_model.bake, names)
    own = known(task.provenance.baked, {})
    baking.refuse_other(SAVED_MODEL, chosen, own)
    return {source: value for source, value in chosen.items() if source not in own}


def _frozen_anew(task: Task, baked: Mapping[str, Any], path: Path) -> Provenance:
    """Freezes the model with more inputs baked than its frozen graph has, to `path`; gives what that is."""
    from permafrost.signature import baking

    record = recording.begun(Provenance, "")
    record.options = task.provenance.options
    earlier = baking.chosen(task.imported.inputs, known(task.provenance.baked, {}))
    freeze_model.write(task.imported, record.options, {**earlier, **baked}, path, record)
    return record


def _write(task: Task) -> Signature:
    # Imported here, since they need TensorFlow, and not every model is exported.
    from permafrost.exporter import saved_model, signature
    from permafrost.graph import frozen_file

    index = GraphIndex(frozen_file.outline(str(task.frozen_graph)))
    found: Signature = signature.of_model(task.imported, task.provenance, index, _left(task))
    directory: Path = (task.directory / _FILE).parent
    saved_model.write(task.frozen_graph, found, task.provenance.initializers, directory)
    return found


def _left(task: Task) -> Any:
    """The names that the settings give to inputs and outputs, without those of inputs that are constants."""
    names, left = task.settings.signature, task.provenance.inputs
    gone = {name for name in task.imported.inputs if name not in left}
    inputs = {key: name for key, name in names.inputs.items() if f"{name.removesuffix(':0')}:0" not in gone}
    return structs.replace(names, inputs=inputs)
