"""The directories of a zoo and the names, sizes and times of the files in them; no file is opened.

A link that leads out of all zoos is not followed unless that is asked for: it may lead to all of the machine's files.
"""

import itertools
import os
import re
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from permafrost.graph.graph_files import SAVED_MODEL_FILES
from permafrost.outcome import Problem
from permafrost.zoo.names import printable


@dataclass
class Listing:
    """A directory of a zoo as os.scandir gives it, links followed.

    `path` begins as the user gave the zoo; `relative` is relative to the zoo, and '' at its root. `files` are the
    regular files with their stat, None where that failed; `below` are the directories to enter. `outside` has the links
    that are not to be followed, to files and to directories, with the path that each leads to. `error` says why the
    directory cannot be read, or is ''.
    """

    zoo: str
    path: str
    relative: str
    files: dict[str, os.stat_result | None] = field(default_factory=dict)
    below: list[tuple[str, bool]] = field(default_factory=list)  # names, and whether they are links
    outside: dict[str, str] = field(default_factory=dict)
    error: str = ""
    variables: "Listing | None" = None  # what a SavedModel keeps its variables in

    def path_of(self, name: str) -> str:
        """The path of what has this name in the directory."""
        return name if self.path == "." else f"{self.path}/{name}" if self.path != "/" else f"/{name}"


def walk(zoos: list[str], skip: list[str], follow_links: bool = False, is_deep: bool = True) -> Iterator[Listing]:
    """The directories `zoos` and all below them, parents first and links last, each real directory once.

    Without `is_deep` it is these directories alone.

    A link out of all of `zoos` is entered only with `follow_links`. Directories named .git and .snakemake, those in
    `skip`, and `variables` of a SavedModel are not entered.
    Raises Problem(bad_setting) for a zoo that is no directory, or is one of `skip`.
    """
    own = {_identity(path) for path in skip if os.path.isdir(path)}
    seen = set(own)
    links: deque[Listing] = deque()
    within = None if follow_links else [os.path.join(os.path.realpath(zoo), "") for zoo in zoos]
    for zoo in zoos:
        if not os.path.isdir(zoo):
            message = f"the zoo {printable(zoo)} is not a directory, and no checkpoint has this prefix"
            raise Problem("bad_setting", message, "correct `zoo`")
        if _identity(zoo) in own:
            raise Problem("bad_setting", f"{printable(zoo)} is the zoo and a directory for outputs", "choose another")
    for zoo in zoos:
        root = re.sub(r"^(\./+)+", "", zoo.rstrip("/") or zoo[:1]) or "."
        real = _walk_real(deque([Listing(zoo, root, "")]), seen, links, within)
        yield from real if is_deep else itertools.islice(real, 1)
    while links:
        yield from _walk_real(deque([links.popleft()]), seen, links, within)


def _walk_real(
    pending: deque[Listing], seen: set[tuple[int, int]], links: deque[Listing], within: list[str] | None
) -> Iterator[Listing]:
    while pending:
        listing = pending.popleft()
        try:
            identity = _identity(listing.path)
            if identity in seen:
                continue
            seen.add(identity)
            _fill(listing, within)
        except FileNotFoundError:
            continue
        except OSError as error:
            listing.error = error.strerror or str(error)
        yield listing
        for name, is_link in sorted(listing.below):
            relative = f"{listing.relative}/{name}".lstrip("/")
            (links if is_link else pending).append(Listing(listing.zoo, listing.path_of(name), relative))


def _fill(listing: Listing, within: list[str] | None) -> None:
    with os.scandir(listing.path) as entries:
        for entry in entries:
            try:
                _take(listing, entry, within)
            except OSError:
                listing.files[entry.name] = None
    below = [name for name, _ in listing.below]
    if "variables" in below and any(name in listing.files for name in SAVED_MODEL_FILES):
        listing.below = [(name, is_link) for name, is_link in listing.below if name != "variables"]
        relative = f"{listing.relative}/variables".lstrip("/")
        listing.variables = Listing(listing.zoo, listing.path_of("variables"), relative)
        try:
            _fill(listing.variables, within)
        except OSError as error:
            listing.variables.error = error.strerror or str(error)


def _take(listing: Listing, entry: os.DirEntry[str], within: list[str] | None) -> None:
    """Adds an entry of the directory to its listing. Raises OSError for a link that leads nowhere."""
    is_directory = entry.is_dir()
    information = None if is_directory else entry.stat()
    if entry.is_symlink() and (target := _leads_out(listing.path_of(entry.name), within)):
        listing.outside[entry.name] = target
    elif is_directory and entry.name not in (".git", ".snakemake"):
        listing.below.append((entry.name, entry.is_symlink()))
    if information and stat.S_ISREG(information.st_mode):
        listing.files[entry.name] = information


def _leads_out(link: str, within: list[str] | None) -> str:
    """The path to which a link leads where that is in none of the directories `within`, which end with a slash."""
    target = os.path.realpath(link)
    return "" if within is None or f"{target}/".startswith(tuple(within)) else target


def _identity(path: str) -> tuple[int, int]:
    information = os.stat(path)
    return information.st_dev, information.st_ino
