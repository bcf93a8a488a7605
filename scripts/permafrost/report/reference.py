"""All tables, and what their columns mean: docs/reports.md, and what the page knows of them."""

from permafrost.report.columns import TEXT
from permafrost.report.tables.changes import CHANGES
from permafrost.report.tables.export import EXPORT
from permafrost.report.tables.exports import EXPORTS
from permafrost.report.tables.findings import FINDINGS
from permafrost.report.tables.history import HISTORY
from permafrost.report.tables.judged import JUDGED
from permafrost.report.tables.op_types import OP_TYPES
from permafrost.report.tables.ops import OPS
from permafrost.report.tables.outputs import OUTPUTS
from permafrost.report.tables.steps import STEPS
from permafrost.report.tables.summary import SUMMARY
from permafrost.report.tables.timings import TIMINGS
from permafrost.report.tables.variables import VARIABLES
from permafrost.report.tables.verification import VERIFICATION
from permafrost.report.tables.zoo import ZOO

TABLES = (
    *(SUMMARY, CHANGES, FINDINGS, ZOO, OP_TYPES, TIMINGS, JUDGED, EXPORTS, HISTORY),
    *(OUTPUTS, OPS, VARIABLES, VERIFICATION, EXPORT, STEPS),
)

# The first table that has a column says what it is.
TYPES: dict[str, str] = {}
for _table in TABLES:
    for _column in _table.columns:
        TYPES.setdefault(_column.name, _column.type)


def type_of(column: str) -> str:
    """TEXT, INTEGER or NUMBER; TEXT for a column that no table describes."""
    return TYPES.get(column, TEXT)


def page() -> str:
    """All tables and their columns as a page of Markdown, docs/reports.md."""
    parts = [_HEAD]
    for table in TABLES:
        rows = [f"| `{column.name}` | {column.type} | {column.meaning} |" for column in table.columns]
        parts.append(f"## {table.path}\n\n{table.rows[0].upper()}{table.rows[1:]}.\n\n")
        parts.append("\n".join(["| column | type | meaning |", "|---|---|---|", *rows]) + "\n\n")
    return "".join(parts).rstrip("\n") + "\n"


_HEAD = """# The CSV files

All are RFC 4180 and UTF-8, with a header and one line for each row. Control characters in names, and bytes that are not
UTF-8, are percent-encoded. A cell is empty where something is not known. Each file is written whole or not at all, and
its rows come in the same order each time. Columns of type `integer` and `number` are read as numbers by pandas.

This page is made from the tables in `scripts/permafrost/report/tables` by `python docs/make_reference.py`.

"""
