"""Words that a graph knows, where its constants do not tell: from the text files and tensors that fill its tables."""

import contextlib
from collections.abc import Iterable, Iterator

from permafrost.checkpoint.reader import Checkpoint
from permafrost.flow.body import Body
from permafrost.graph import text_tables
from permafrost.graph.index import GraphIndex
from permafrost.graph.protos import types_pb2
from permafrost.graph.pruning import TABLES
from permafrost.outcome import Problem
from permafrost.records import SavedTable, Vocabulary

Words = dict[str, list[str]]  # by the node that fills the table

_MOST = 32


def of_files(index: GraphIndex, vocabularies: Iterable[Vocabulary]) -> Words:
    """The first keys of each table of words that a text file fills; none of a file that cannot be read."""
    body, found = Body(index.graph_def.node), Words()
    for vocabulary in vocabularies:
        initializer = index.nodes[vocabulary.initializer]
        table = body.nodes.get(body.origin(initializer.input[0]))
        if vocabulary.path and table is not None and table.op in TABLES:
            try:
                keys = text_tables.read(vocabulary.path, text_tables.format_of(initializer, table))
            except Problem:
                continue  # The freezer says what is wrong with it.
            found[vocabulary.initializer] = list(_texts(key for key in keys if isinstance(key, bytes)))
    return found


def of_checkpoint(tables: Iterable[SavedTable], checkpoint: Checkpoint) -> Words:
    """The first keys of each table of words that a saver restores; none of what is damaged.

    The keys of a dense table lie among those that mark free places, which may not be looked up.
    """
    found = Words()
    for table in tables:
        if table.keys.dtype_enum == types_pb2.DT_STRING and len(table.keys.shape) == 1:
            with contextlib.suppress(Problem):  # The freezer says what is wrong with it.
                found[table.initializer] = list(_texts(checkpoint.read_strings(table.keys.key)))
    return found


def _texts(keys: Iterable[bytes]) -> Iterator[str]:
    """As many as are fed of the keys that are UTF-8."""
    left = _MOST
    for key in keys:
        try:
            yield key.decode("utf-8")
        except UnicodeDecodeError:
            continue
        left -= 1
        if not left:
            return
