"""What the stages make when they first need it, and is the same for all models: made when this module is imported.

The worker imports it before it forks, so that not each stage of each model makes all of it again: what msgspec keeps of
the types that records and settings are read as, TensorFlow's op registry, the tables by which outputs are chosen, and
the patterns that argparse compiles.
"""

import argparse
import contextlib

import msgspec

from permafrost.graph.ops import registry
from permafrost.judge.judging import Judgement
from permafrost.judge.rehearsal import Found
from permafrost.model import Limits, Settings, Source
from permafrost.records import ImportRecord, Provenance, Record, Verdict
from permafrost.signature.ranking import tables

_READ = (Limits, Settings, Source, Record, ImportRecord, Provenance, Verdict, Found, Judgement)


def _know_types() -> None:
    for kind in _READ:
        with contextlib.suppress(msgspec.ValidationError):
            msgspec.convert(None, kind)


def _parse_arguments() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--option", required=True, type=str)
    parser.add_argument("paths", nargs="+")
    parser.parse_args(["--option", "value", "path"])


_know_types()
_parse_arguments()
registry.load()
tables.candidates()
tables.sets()
