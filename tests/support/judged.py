"""Models of the kinds: saved, tried, and judged, each by the function that its stage calls."""

import msgspec
import tensorflow as tf

import kinds
from fresh_process import in_fresh_process
from frozen_by_tensorflow import frozen_by_tensorflow
from permafrost import recording
from permafrost.judge.judging import Judgement
from permafrost.model import Settings
from permafrost.outcome import VERIFIED
from permafrost.records import ImportRecord, Provenance, Verdict, is_known
from permafrost.stages import import_model, verify_model
from stages import default_settings, imported, sources

VARIABLES = {"Variable", "VariableV2", "VarHandleOp", "ReadVariableOp", "ResourceGather", "ResourceGatherNd"}
# They wait for what the training program's other threads put in, some of them without an end.
PIPELINES = {"QueueDequeueManyV2", "QueueDequeueV2", "IteratorGetNext", "Unstage"}


def saved(build, directory, **options):
    """The source of a model of one of the kinds, as discovery describes it."""
    kinds.save(build, directory, **options)
    (source,) = sources(directory).values()
    return source


def verified(record: ImportRecord, provenance: Provenance, path, chosen: Settings | None = None) -> dict:
    """What verify.json says of a model, with the rows of its table."""
    verdict = recording.begun(Verdict, "m")
    rows = verify_model.verify(record, provenance, path, chosen or default_settings(timeout=120), verdict)
    return recording.content(verdict) | {"rows": rows}


def said(judgement: Judgement) -> dict:
    """What the judge measured, with `rows`, and `finding` where there is one."""
    found = recording.content(judgement.measured) | {"rows": msgspec.to_builtins(judgement.rows)}
    return found | ({"finding": msgspec.to_builtins(judgement.finding)} if judgement.finding else {})


def check_judgement(record, provenance, path) -> None:
    found = in_fresh_process(verified, record, provenance, path)
    assert found["status"] == VERIFIED, found
    assert found["match"] == "bitwise"


def usable(record) -> bool:
    """Whether TensorFlow's own frozen graph can be run as it is, without what only its checkpoint knows."""
    try:
        theirs = frozen_by_tensorflow(record.prefix, record.meta, ["out"])
    except (ValueError, AttributeError, KeyError, tf.errors.OpError):
        return False
    graph_def = tf.compat.v1.GraphDef.FromString(theirs)
    functions = [node for function in graph_def.library.function for node in function.node_def]
    if (VARIABLES | PIPELINES) & {node.op for node in [*graph_def.node, *functions]}:
        return False
    with tf.Graph().as_default() as graph:
        try:
            tf.import_graph_def(graph_def, name="")
        except ValueError:
            return False
        feed = {}
        for node in graph_def.node:
            if node.op == "Placeholder":
                tensor = graph.get_tensor_by_name(f"{node.name}:0")
                value = {tf.string: b"ice", tf.bool: True}.get(tensor.dtype, 1)
                feed[tensor] = tf.make_ndarray(
                    tf.make_tensor_proto(value, tensor.dtype, [size or 2 for size in tensor.shape.as_list()])
                )
        with tf.compat.v1.Session(graph=graph) as session:
            try:
                session.run("out:0", feed)
            except tf.errors.OpError:
                return False
    return True


def initialized(source, **changes) -> ImportRecord:
    """The import record of a model, as `imported` gives it, once what is to run after the restore has run."""
    record = imported(source, **changes)
    if not is_known(record.initializers):
        return record
    return in_fresh_process(_initialized, record, default_settings(**{"timeout": 120} | changes))


def _initialized(record: ImportRecord, settings: Settings) -> ImportRecord:
    import_model.initialize(settings, record)
    return record


def rehearse(record: ImportRecord, **changes) -> ImportRecord:
    return in_fresh_process(_rehearse, record, default_settings(**{"timeout": 120} | changes))


def _rehearse(record: ImportRecord, settings: Settings) -> ImportRecord:
    import_model.rehearse(settings, record)
    return record
