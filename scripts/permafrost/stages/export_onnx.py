"""Makes ONNX of a frozen graph, by tf2onnx."""

from permafrost.export_records import ONNX, Signature
from permafrost.exporter.prepared import Prepared
from permafrost.model import Settings
from permafrost.stages import converting
from permafrost.stages.converting import Conversion
from permafrost.stages.export_model import Made, Task


def make(task: Task) -> Made:
    """Writes model.onnx, and model.onnx.data where weights are large. Raises as converting.make does."""
    return converting.make(_load, ONNX, task)._replace(opset=task.settings.onnx.opset)


def _load() -> Conversion:
    from permafrost.exporter.onnx import conversion

    def convert(prepared: Prepared, settings: Settings, way: str, path: str, frozen_sha256: str) -> Signature:
        made: Signature = conversion.convert(prepared, settings.onnx, way, path, frozen_sha256)
        return made

    return Conversion(ONNX, conversion.WAYS, convert)
