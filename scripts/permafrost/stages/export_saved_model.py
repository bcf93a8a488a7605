"""Makes a SavedModel of a frozen graph: the .pb's bytes in a frame with signatures, which this process writes."""

from pathlib import Path

from permafrost import layout
from permafrost.export_records import SAVED_MODEL, Signature
from permafrost.graph.index import GraphIndex
from permafrost.outcome import Problem
from permafrost.sandbox import limits
from permafrost.stages.export_model import Made, Task

_FILE = layout.EXPORTED[SAVED_MODEL][0]


def make(task: Task) -> Made:
    """Writes saved_model/saved_model.pb. Raises Problem and Refused as exporter.saved_model does; OSError."""
    if task.settings.saved_model.bake:
        said = "`saved_model:` has `bake:`, but a SavedModel holds the frozen graph as it is, with all of its inputs"
        raise Problem("bad_setting", said, "leave `bake:` out there; ONNX and TensorFlow Lite have it")
    return Made(limits.held(task.settings, _write, task), {}, [], "framed")


def _write(task: Task) -> Signature:
    # Imported here, since they need TensorFlow, and not every model is exported.
    from permafrost.exporter import saved_model, signature
    from permafrost.graph import frozen_file

    graph_def = frozen_file.read(str(task.frozen_graph))[0]
    names = task.settings.signature
    found: Signature = signature.of_model(task.imported, task.provenance, GraphIndex(graph_def), names)
    directory: Path = (task.directory / _FILE).parent
    saved_model.write(task.frozen_graph, found, task.provenance.initializers, directory)
    return found
