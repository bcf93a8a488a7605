"""A zoo that is one checkpoint: a path that names it rather than a directory."""

import os
import re
from dataclasses import dataclass

from permafrost.zoo.names import split_step

# What a file of a checkpoint has behind its prefix.
_ENDING = re.compile(r"\.(index|meta|data-[0-9]{5}-of-[0-9]{5})$")
# Where frozen graph and reports go that are given no directories: they belong to this checkpoint alone.
_OUTPUTS = "permafrost.out"


@dataclass(frozen=True)
class Place:
    """Where a checkpoint lies: its directory, and the base name of its prefix, or the stem of several."""

    directory: str
    name: str

    @property
    def has_step(self) -> bool:
        """Whether one step is named, rather than a series."""
        return split_step(self.name)[1] is not None

    @property
    def outputs(self) -> str:
        """The directory of what is made of it, below the working directory."""
        above = os.path.basename(os.path.realpath(self.directory)) or "root"
        return f"{_OUTPUTS}/{_plain(above)}/{_plain(self.name)}"


def find(path: str) -> Place | None:
    """The checkpoint that a path names: by its prefix, by a file of it, or by the stem of several steps.

    None for a directory, and where there is no such checkpoint. Nothing is opened.
    """
    if os.path.isdir(path):
        return None
    directory, name = os.path.split(_ENDING.sub("", path))
    try:
        names = {_ENDING.sub("", entry.name) for entry in os.scandir(directory or ".") if not entry.is_dir()}
    except OSError:
        return None
    is_there = bool(name) and name in {stem for each in names for stem in (each, split_step(each)[0])}
    return Place(directory or ".", name) if is_there else None


def _plain(name: str) -> str:
    """A name without what Snakemake would replace in a path, and without a dot in front."""
    return re.sub(r"[^\w.+=@-]|^\.", "_", name)
