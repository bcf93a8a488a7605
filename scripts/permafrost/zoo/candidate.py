"""What discovery finds: a row for each checkpoint, and for what is none but has to be said."""

import hashlib
import json
import os
from typing import Any

from msgspec import Struct

from permafrost.model import Defect, GraphFiles
from permafrost.outcome import Problem
from permafrost.zoo.listing import Listing
from permafrost.zoo.names import model_id, printable


class Candidate(Struct, kw_only=True):
    """A checkpoint, or what is left of one, or something that looks like one.

    A link that was not followed is one as well, and so are a directory in which files only look like checkpoints, and a
    meta graph that may be of a checkpoint elsewhere; but no models: their `series` is empty.

    Paths begin as the user gave the zoo; `name` is the prefix's base name, and `named` the one of the same series that
    the `checkpoint` file names, or "". `bytes` are those of the checkpoint's files without the meta graph.
    `network` is the name of another of its series with the same variables, where the series has several networks.
    `elsewhere` is the path at which `checkpoint` names it where nothing of it is in the directory.
    `graphs` says where the graph of a checkpoint without a meta graph may be (zoo.graph_search).
    `model` is the id under which it is reported, and `selected` says whether that model is this checkpoint.
    """

    zoo: str
    directory: str
    prefix: str
    series: str
    name: str
    stem: str
    step: int | None
    format: str = ""
    shards: int = 0
    bytes: int = 0
    meta: str = ""
    graphs: GraphFiles | None = None
    files: list[str] = []
    fingerprint: str = ""
    named: str = ""
    problem: Defect | None = None
    findings: list[str] = []
    network: str = ""
    elsewhere: str = ""
    model: str = ""
    selected: bool = False


def unfollowed(listing: Listing, names: list[str]) -> Candidate:
    """The candidate that stands for links out of the zoo, of which the first is named."""
    path, target = listing.path_of(names[0]), listing.outside[names[0]]
    others = f" ({len(names) - 1} more links in this directory do)" if len(names) > 1 else ""
    problem = Problem("outside_zoo", f"{printable(path)} leads out of the zoo, to {printable(target)}{others}")
    return Candidate(
        zoo=listing.zoo,
        directory=listing.path,
        prefix=path,
        series="",
        name=names[0],
        stem=names[0],
        step=None,
        fingerprint=digest(["link", path, target, len(names)]),
        problem=Defect(**vars(problem)),
    )


def unreadable(listing: Listing) -> Candidate:
    """The candidate that stands for a directory that cannot be read."""
    path = listing.path
    above, name = os.path.split(listing.relative or os.path.abspath(path))
    problem = Problem("unreadable", f"the directory {printable(path)} cannot be read: {listing.error}")
    return Candidate(
        zoo=listing.zoo,
        directory=os.path.dirname(path) or ".",
        prefix=path,
        series=model_id(above if listing.relative else "", name),
        name=name,
        stem=name,
        step=None,
        fingerprint=digest(["directory", path, listing.error]),
        problem=Defect(**vars(problem)),
    )


def beside(listing: Listing, findings: list[str]) -> Candidate:
    """The candidate that stands for a directory of which nothing is a checkpoint, and something looks like one."""
    return Candidate(
        zoo=listing.zoo,
        directory=listing.path,
        prefix=listing.path,
        series="",
        name="",
        stem="",
        step=None,
        fingerprint=digest(["beside", listing.path, *findings]),
        findings=findings,
    )


def digest(content: list[Any]) -> str:
    """A digest of anything that JSON can say, in hexadecimal."""
    return hashlib.sha256(json.dumps(content).encode("ascii")).hexdigest()[:32]
