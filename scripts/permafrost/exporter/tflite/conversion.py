"""TensorFlow's own converter makes a TensorFlow Lite file of a prepared graph.

Only built-in ops are allowed: what runs the others is in no runtime that people can install from a package.
"""

import copy
import os
import tempfile
from typing import Any, Protocol

import tensorflow as tf

from permafrost.export_records import Signature
from permafrost.exporter.prepared import Prepared, Refused
from permafrost.exporter.tflite import batches, errors, finishing, saved_graph, spelling, tensor_lists
from permafrost.graph.protos import GraphDef
from permafrost.whole_files import written_whole

OPEN, FIXED = "open", "fixed_batch"
WAYS = (OPEN, FIXED)  # in the order in which they are tried
FLOAT16, DYNAMIC_INT8 = "float16", "dynamic_int8"


class Options(Protocol):
    """What the settings say of TensorFlow Lite.

    batch: the number that open first dimensions become, or None. quantize: None, `float16` or `dynamic_int8`.
    """

    @property
    def batch(self) -> int | None:
        """See above."""

    @property
    def quantize(self) -> str | None:
        """See above."""


def convert(prepared: Prepared, options: Options, way: str, path: str) -> Signature:
    """Writes a TensorFlow Lite file of a prepared graph, and says what goes in and comes out of it.

    Args:
      prepared: stays as it is, but for `changes`, which get a sentence for each kind of what was changed here.
      way: one of WAYS: `open` keeps open dimensions, if no batch is set; `fixed_batch` makes a number of the first one
        of each input, 1 if none is set.
      path: where the file is to be, whole or not at all; its directory has to be there.
    Returns the signature of the file, `serving_default`: its keys are the prepared graph's, the shapes the file's, and
      what is hidden has the name of its tensor in the file.
    Raises Refused: unsupported_op with op and node, random_op, too_large, lost_output, conversion_failed; and OSError.
    """
    changed = rewritten(prepared, options, way)
    signature = finishing.numbered(changed.signature)
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as directory:
        saved_graph.write(changed, signature, directory)
        content = _converted(directory, options)
    finished, said = finishing.finish(content, signature)
    with written_whole(path) as temporary, open(temporary, "wb") as file:
        file.write(finished)
    prepared.changes[:] = changed.changes
    return said


def rewritten(prepared: Prepared, options: Options, way: str) -> Prepared:
    """The graph as the converter gets it; in TensorFlow it gives the same bits, on inputs of the shapes that it has.

    Args:
      prepared: stays as it is. options, way: as for `convert`.
    Raises Refused (conversion_failed) where TensorFlow cannot import it with the shapes of its inputs.
    """
    batch = options.batch or (1 if way == FIXED else None)
    changed = copy.copy(batches.fixed(prepared, batch) if batch else prepared)
    listed, count = _with_lists(changed)
    said = [f"lists stand for {count} TensorArrays"] if count else []
    changed.graph_def, changed.changes = listed, [*changed.changes, *said]
    return changed


def _with_lists(prepared: Prepared) -> tuple[GraphDef, int]:
    try:
        return tensor_lists.with_lists(spelling.respelled(prepared.graph_def))
    except (ValueError, tf.errors.OpError) as error:
        # Sizes that a graph states in two places, the batch among them, may be at odds.
        why = " ".join(str(error).split())[:300]
        raise Refused("conversion_failed", f"TensorFlow cannot import the graph with these shapes: {why}") from error


def _converted(directory: str, options: Options) -> bytes:
    """What the converter makes of the SavedModel in a directory. Raises Refused."""
    try:
        content: bytes = _converter(directory, options).convert()
    except MemoryError:
        raise
    except Exception as error:
        raise errors.refused(error) from error
    return content


def _converter(directory: str, options: Options) -> Any:
    converter = tf.lite.TFLiteConverter.from_saved_model(directory, signature_keys=[saved_graph.SERVING])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.allow_custom_ops = False
    converter._experimental_lower_tensor_list_ops = True
    converter.canonicalizing_inf_as_min_max_float = False  # An infinity is no large number.
    if options.quantize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if options.quantize == FLOAT16:
        converter.target_spec.supported_types = [tf.float16]
    return converter
