"""A SavedModel in the sandbox: in sessions, loaded, and as people run it, each in a process of its own.

What a process sets for TensorFlow holds for all of it, and its first session makes the threads.
"""

from pathlib import Path

from msgspec import structs

from permafrost.graph import frozen_file
from permafrost.judge import judging as models
from permafrost.judge.exports import judging, kept_values, saved_model_files
from permafrost.judge.exports.judging import ExportJudgement
from permafrost.judge.exports.saved_models import V1, V2, SavedModelRuntime
from permafrost.judge.exports.trials import Exported, Trials
from permafrost.judge.judging import Judgement
from permafrost.model import Settings
from permafrost.records import Provenance, known

EXPECTED = "expected"  # the file of what the checkpoint computes
_USUAL_SHARE = 1e-5  # of the largest value, beyond which another order of the same arithmetic is told as a difference


def by_sessions(exported: Exported, settings: Settings, directory: str) -> ExportJudgement:
    """Whether the file holds the frozen graph, and gives the checkpoint's bits in sessions, with the negative control.

    Leaves what the checkpoint computes in the file EXPECTED of its working directory. Raises Problem, OSError.
    Args:
      directory: where relative paths of inputs are looked up.
    """
    if problem := _misstated(exported):
        return judging.refused("structure_differs", problem)
    runtime = SavedModelRuntime(_seeded(exported), exported.export.signature, V1, allowed=settings.allow_ops)
    trials = Trials(exported, settings, directory)
    found = judging.judge(trials, runtime, None)
    if found.finding is None:
        kept_values.write(EXPECTED, [trials.expected(trial) for trial in trials])
    return found


def by_loading(exported: Exported, settings: Settings, directory: str, expected: str) -> ExportJudgement:
    """The same of tf.saved_model.load with the optimisers off, of the outputs alone, without the negative control.

    Args:
      expected: the path of what the checkpoint computes.
    Raises Problem: not_importable where TensorFlow cannot load it so.
    """
    found = _loaded(exported, settings, directory, expected, None)
    if found.finding is not None:
        message = f"loaded by tf.saved_model.load, {found.finding.message}"
        found.finding = structs.replace(found.finding, message=message)
    return found


def as_people_run_it(exported: Exported, settings: Settings, directory: str, expected: str) -> ExportJudgement:
    """As `by_loading`, with TensorFlow's own settings: its optimisers, and as many threads as there are cores."""
    return _loaded(exported, settings, directory, expected, _USUAL_SHARE)


def _loaded(
    exported: Exported, settings: Settings, directory: str, expected: str, share: float | None
) -> ExportJudgement:
    # What is hidden asks for a function of its own, which holds all weights again.
    signature = structs.replace(exported.export.signature, hidden=[])
    seeded, allowed = _seeded(exported), set(settings.allow_ops)
    runtime = SavedModelRuntime(seeded, signature, V2, share is not None, allowed)
    trials = Trials(exported, settings, directory).of(signature)
    outputs = [values[: len(signature.outputs)] for values in kept_values.read(expected)]
    return judging.compare_with(trials, runtime, outputs, share)


def _seeded(exported: Exported) -> Path:
    return saved_model_files.for_judging(_path(exported), Path("seeded").absolute())


def of_graph(exported: Exported, settings: Settings, directory: str) -> Judgement:
    """Judges the graph of a SavedModel with inputs baked as judge.judging.judge does a frozen graph, bit by bit.

    Raises Problem as that does.
    """
    bitwise = structs.replace(settings, tolerance=None, output_tolerance={})
    path = _graph_of(exported)
    return models.judge(exported.imported, _provenance_of(exported, path), str(path), bitwise, directory)


def _provenance_of(exported: Exported, graph: Path) -> Provenance:
    """What is said of the graph in a SavedModel with inputs baked, as a file."""
    provenance, export = exported.provenance, exported.export
    inputs = {source: tensor for source, tensor in provenance.inputs.items() if source not in export.baked}
    variables = {variable.variable for variable in exported.imported.variables}
    graph_def = frozen_file.outline(str(graph))
    return structs.replace(
        provenance,
        baked=known(provenance.baked, {}) | export.baked,
        inputs=inputs,
        initializers=known(export.initializers, provenance.initializers),
        frozen_variables=sum(node.op == "Const" and node.name in variables for node in graph_def.node),
    )


def _graph_of(exported: Exported) -> Path:
    """The graph that a SavedModel with inputs baked is a frame around, as a file in the working directory."""
    path = Path("baked.pb").absolute()
    if not path.exists():
        saved_model_files.take_out(_path(exported), path, bool(known(exported.export.initializers, [])))
    return path


def _misstated(exported: Exported) -> str:
    path, is_baked = _path(exported), bool(exported.export.baked)
    frozen_graph = _graph_of(exported) if is_baked else Path(exported.frozen_graph)
    if not saved_model_files.holds(path, frozen_graph):
        return f"the graph in {path} is not {frozen_graph}, byte for byte"
    signature = exported.export.signature
    initializers = known(exported.export.initializers, exported.provenance.initializers)
    return saved_model_files.misstated(path, frozen_graph, signature, initializers)


def _path(exported: Exported) -> Path:
    """The path of a SavedModel's only file."""
    return Path(exported.directory) / next(iter(exported.export.files))
