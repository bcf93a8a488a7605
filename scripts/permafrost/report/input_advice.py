"""What to write into the settings of a model that did not run on what it was fed: which inputs, and what they got."""

import re

from permafrost.graph import graph_sources
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.judge.feed_search import failing_node
from permafrost.outcome import Problem
from permafrost.records import ImportRecord
from permafrost.report import settings_file
from permafrost.report.pasted_settings import SO_FAR, flow

CAUSES = ("run_failed", "bad_feed")
_MOST = 4


def hint(imported: ImportRecord, model: str, message: str) -> str:
    """Names the inputs that a run failed on, and ends with the settings that feed them as they were fed.

    Those named in what TensorFlow said are meant, or else those on which the node depends that it names, or else all.
    Args:
      model: the id.
      message: of the Problem that ended the run.
    Returns "" where nothing is fed that settings can change.
    """
    fed = {name: settings_file.setting(spec) for name, spec in imported.inputs.items()}
    fed = {name: said for name, said in fed.items() if said is not None}
    meant = [name for name in fed if _is_named(name, message)] or _before(failing_node(message), imported, list(fed))
    if not meant:
        return ""
    others = f" and {len(meant) - _MOST} more inputs" if len(meant) > _MOST else ""
    said = {_bare(name): fed[name] for name in meant[:_MOST]}
    block = flow({"models": {model: {"inputs": said}}}).removeprefix("{").removesuffix("}")
    names = ", ".join(f"`{name}`" for name in said)
    return f"correct shape or values of {names}{others}{SO_FAR}{block}"


def _is_named(name: str, message: str) -> bool:
    """Whether a message names a tensor, by itself or as a node's output."""
    return re.search(rf"(?<![\w./-]){re.escape(_bare(name))}(?![\w./-])", message) is not None


def _before(node: str, imported: ImportRecord, names: list[str]) -> list[str]:
    """Those of the inputs on which a node depends; all where that is not known."""
    try:
        index = GraphIndex(graph_sources.read(imported.graph).graph_def)
    except Problem:
        return names
    if node not in index.nodes:
        return names
    before = index.reach([node])
    return [name for name in names if tensor_name(name)[0] in before] or names


def _bare(name: str) -> str:
    return name.removesuffix(":0")
