"""Makes TensorFlow Lite of a frozen graph, by TensorFlow's own converter."""

from permafrost.export_records import TFLITE, Signature
from permafrost.exporter.prepared import Prepared
from permafrost.model import Settings
from permafrost.stages import converting
from permafrost.stages.converting import Conversion
from permafrost.stages.export_model import Made, Task


def make(task: Task) -> Made:
    """Writes model.tflite. Raises as converting.make does."""
    return converting.make(_load, TFLITE, task)


def _load() -> Conversion:
    from permafrost.exporter.tflite import conversion

    def convert(prepared: Prepared, settings: Settings, way: str, path: str, frozen_sha256: str) -> Signature:
        made: Signature = conversion.convert(prepared, settings.tflite, way, path)
        return made

    def rewrite(prepared: Prepared, settings: Settings, way: str) -> Prepared:
        changed: Prepared = conversion.rewritten(prepared, settings.tflite, way)
        return changed

    return Conversion(TFLITE, conversion.WAYS, convert, rewrite)
