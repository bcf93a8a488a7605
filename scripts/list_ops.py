"""Lists a model's ops, those of its meta graph and those of its frozen graph, and its variables, as CSV files.

A table for which there is nothing has its header alone.
"""

import argparse
import sys
import traceback
from pathlib import Path

import pandas as pd
from google.protobuf.message import DecodeError

from permafrost import graph_files, records
from permafrost.contract import OP_COLUMNS, VARIABLE_COLUMNS, Problem
from permafrost.protos import graph_pb2


def imported_ops(imported: dict) -> list[dict]:
    """Rows of contract.OP_COLUMNS for the meta graph of an import record; none where it cannot be read."""
    if not imported.get("graph", {}).get("path"):
        return []
    try:
        meta_graph = graph_files.read(imported["graph"])
    except Problem as problem:
        print(problem.message, file=sys.stderr)
        return []
    return _listed(meta_graph.graph_def, meta_graph.meta_info_def.stripped_op_list)


def _listed(graph_def, producer_ops=None) -> list[dict]:
    from permafrost import op_listing  # Here, since what cannot be read needs no TensorFlow.

    try:
        return op_listing.list_ops(graph_def, producer_ops)
    except (ValueError, TypeError, OverflowError, LookupError):
        # What a stranger's graph brings about must not keep the reports of the whole zoo from being written.
        traceback.print_exc()
        return []


def frozen_ops(provenance: dict, frozen_graph: Path) -> list[dict]:
    """The same for the frozen graph; none where the model could not be frozen, or its .pb cannot be read."""
    if provenance["status"] != records.OK:
        return []
    try:
        graph_def = graph_pb2.GraphDef.FromString(frozen_graph.read_bytes())
    except (OSError, DecodeError) as error:
        print(f"{frozen_graph} cannot be read: {error}", file=sys.stderr)
        return []
    return _listed(graph_def)


def variables(imported: dict, provenance: dict) -> list[dict]:
    """Rows of contract.VARIABLE_COLUMNS; `frozen` is `yes` for a variable whose value is in the frozen graph."""
    frozen = {tensor["node"] for tensor in provenance.get("tensors", ()) if provenance["status"] == records.OK}
    return [
        {column: variable.get(column) for column in VARIABLE_COLUMNS}
        | {"frozen": "yes" if variable["variable"] in frozen else "no"}
        for variable in imported.get("variables", ())
    ]


def write_table(rows: list[dict], columns: tuple[str, ...], path: str | Path) -> None:
    """Writes a CSV file, whole or not at all. Raises OSError."""
    # dtype object keeps integers whole in a column that has empty cells.
    table = pd.DataFrame(rows, columns=list(columns), dtype=object)
    with records.written_whole(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the model's id")
    parser.add_argument("--import-record", required=True, help="the model's import.json")
    parser.add_argument("--provenance", required=True, help="the model's provenance.json")
    parser.add_argument("--frozen-graph", required=True, type=Path, help="frozen_graph.pb, which need not exist")
    parser.add_argument("--ops", required=True, help="ops.csv, to be written")
    parser.add_argument("--frozen-ops", required=True, help="frozen_ops.csv, to be written")
    parser.add_argument("--variables", required=True, help="variables.csv, to be written")
    args = parser.parse_args(argv)

    imported, provenance = records.load(args.import_record), records.load(args.provenance)
    write_table(variables(imported, provenance), VARIABLE_COLUMNS, args.variables)
    write_table(frozen_ops(provenance, args.frozen_graph), OP_COLUMNS, args.frozen_ops)
    write_table(imported_ops(imported), OP_COLUMNS, args.ops)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
