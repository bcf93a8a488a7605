"""What was made and nobody asks for any more: what is of models that the zoo no longer has, and exports."""

import os
from collections.abc import Mapping

from permafrost import layout
from permafrost.export_records import FORMATS
from permafrost.model import Model


def find(frozen: str, reports: str, models: Mapping[str, Model]) -> tuple[list[str], list[str]]:
    """Directories of models that the zoo no longer has, and files of exports that no settings ask for any more.

    Args:
      frozen, reports: the directories of the frozen graphs, and of the reports.
      models: the models of the zoo by their ids.
    """
    stale, unasked = [], []
    roots = {frozen: layout.beside_frozen, f"{reports}/{layout.MODELS}": layout.beside_reports}
    for root, names in roots.items():
        for directory, below, files in os.walk(root):
            model = models.get(os.path.relpath(directory, root))
            if model:
                others = [name for form in FORMATS if form not in model.exports for name in names(form)]
                unasked += [f"{directory}/{name}" for name in _there(directory, others, {*below, *files})]
            elif {layout.PROVENANCE, layout.IMPORT} & set(files):
                stale.append(directory)
    return sorted(stale), sorted(unasked)


def _there(directory: str, names: list[str], entries: set[str]) -> list[str]:
    """Those of the names, which may lie in a directory of their own, that are files below a directory."""
    found = [name for name in names if name.partition("/")[0] in entries]
    return [name for name in found if "/" not in name or os.path.isfile(f"{directory}/{name}")]
