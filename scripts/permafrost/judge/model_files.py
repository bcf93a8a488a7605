"""The files that TensorFlow has to read for a model, and that the sandbox lets it read."""

import os

from permafrost.graph import vocabularies
from permafrost.graph.graph_sources import SAVED_MODEL
from permafrost.input_kinds import File
from permafrost.model import Graph, Settings
from permafrost.outcome import Problem
from permafrost.records import ImportRecord


def readable(imported: ImportRecord, settings: Settings, *others: str) -> list[str]:
    """Absolute paths of the files of a model: checkpoint, graph, vocabularies, assets, and what the settings name.

    The checkpoint's files one by one, not their directory, where others' may lie too.
    Args:
      imported: the import record.
      settings: for `allow_paths`.
      others: further files, such as the frozen graph.
    Raises Problem (bad_setting) for one of `allow_paths` that is not there.
    """
    graph = imported.graph
    paths = [*imported.files, graph.path, graph.saver, *vocabularies.paths(imported).values()]
    paths += [spec.file for spec in imported.inputs.values() if isinstance(spec, File)]
    paths += [*_assets(graph), *_allowed(settings.allow_paths), *others]
    return [os.path.abspath(path) for path in paths if path]


def _assets(graph: Graph) -> list[str]:
    assets = os.path.join(os.path.dirname(graph.path), "assets")
    # A link, which comes with a stranger's model, could lead to the root of the file system.
    return [assets] if graph.form == SAVED_MODEL and not os.path.islink(assets) else []


def _allowed(paths: list[str]) -> list[str]:
    for path in paths:
        if not os.path.exists(path):
            raise Problem("bad_setting", f"`allow_paths` names {path}, which is not there", "correct the path")
    return paths
