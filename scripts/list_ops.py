"""Lists a model's ops before and after it was frozen, its variables, and what to warn about, as CSV files.

A table for which there is nothing has its header alone. The frozen graph is drawn as well, in a few boxes. Where the
machine failed, list_ops.json beside the tables says so, and the next run makes them again.
"""

import argparse
import sys
import traceback
from pathlib import Path

import pandas as pd
from google.protobuf.message import DecodeError

from permafrost import graph_files, graph_findings, graph_picture, records, state_findings, tables, weight_findings
from permafrost.checkpoint import open_checkpoint
from permafrost.contract import FINDING_COLUMNS, OP_COLUMNS, TRANSIENT, VARIABLE_COLUMNS, Problem
from permafrost.metagraph import producer_ops
from permafrost.protos import graph_pb2

# What a stranger's graph brings about must not keep the reports of the whole zoo from being written.
_BROUGHT_ABOUT = (ValueError, TypeError, OverflowError, LookupError)


def meta_graph_of(imported: dict, faults: list[Problem]):
    """The MetaGraphDef of an import record, or None where it cannot be read; adds to `faults` what is the machine's."""
    if not imported.get("graph", {}).get("path"):
        return None
    try:
        return graph_files.read(imported["graph"])
    except Problem as problem:
        note(problem, faults)
        return None


def note(error: Problem | OSError, faults: list[Problem]) -> None:
    """Says on stderr what went wrong, and adds it to `faults` where it is a fault of the machine."""
    problem = Problem("io_error", str(error)) if isinstance(error, OSError) else error
    print(problem.message, file=sys.stderr)
    faults += [problem] if problem.cause in TRANSIENT else []


def frozen_graph_of(provenance: dict, frozen_graph: Path):
    """The frozen GraphDef, or None where the model could not be frozen, or its .pb cannot be read."""
    if provenance["status"] != records.OK:
        return None
    try:
        return graph_pb2.GraphDef.FromString(frozen_graph.read_bytes())
    except (OSError, DecodeError) as error:
        print(f"{frozen_graph} cannot be read: {error}", file=sys.stderr)
        return None


def ops(meta_graph, frozen, faults: list[Problem]) -> list[list[dict]]:
    """Rows of contract.OP_COLUMNS before and after; none where there is no graph. The graphs are used up.

    Adds to `faults` what is the machine's.

    Args:
      meta_graph, frozen: the MetaGraphDef and the frozen GraphDef, or None.
    """
    if meta_graph is None and frozen is None:
        return [[], []]
    from permafrost import op_listing  # Here, since what cannot be read needs no TensorFlow.

    def prepared(graph_def, producer=None):
        try:
            return op_listing.Graph(graph_def, producer)
        except _BROUGHT_ABOUT:
            traceback.print_exc()
            return None

    graphs = [
        prepared(meta_graph.graph_def, producer_ops(meta_graph)) if meta_graph is not None else None,
        prepared(frozen) if frozen is not None else None,
    ]

    def listed_or_stated(known: list) -> list[list[dict]]:
        try:
            return op_listing.list_ops(*known)
        except (Problem, OSError) as error:
            note(error, faults)
            return op_listing.list_stated(*known)

    try:
        listed = iter(listed_or_stated(list(filter(None, graphs))))
        return [next(listed) if graph else [] for graph in graphs]
    except _BROUGHT_ABOUT:
        traceback.print_exc()
        return [[], []]


def findings(imported: dict, provenance: dict, meta_graph, frozen, faults: list[Problem]) -> list[dict]:
    """Rows of contract.FINDING_COLUMNS without the model, the worst first; adds to `faults` what is the machine's.

    Args:
      meta_graph, frozen: the MetaGraphDef and the frozen GraphDef, or None.
    """
    found: list[dict] = []
    try:
        found += graph_findings.of_record(imported)
        if meta_graph is not None:
            found += graph_findings.of_strings(meta_graph.graph_def)
            found += state_findings.of_restore(meta_graph)
        if frozen is not None:
            named = provenance["inputs"]
            switches = {named[n] for n, spec in imported["inputs"].items() if spec["kind"] in ("value", "default")}
            found += graph_findings.of_frozen(frozen, switches)
            found += state_findings.of_frozen(frozen)
        if imported.get("variables"):
            with open_checkpoint(imported["prefix"]) as checkpoint:
                found += weight_findings.of_weights(imported["variables"], imported["weights"], checkpoint)
    except (Problem, OSError) as error:
        print("the weights were not looked at", file=sys.stderr)
        note(error, faults)
    except _BROUGHT_ABOUT:
        traceback.print_exc()
    return graph_findings.worst_first(found)


def variables(imported: dict, provenance: dict) -> list[dict]:
    """Rows of contract.VARIABLE_COLUMNS; `frozen` is `yes` for a variable whose value is in the frozen graph."""
    frozen = {tensor["node"] for tensor in provenance.get("tensors", ()) if provenance["status"] == records.OK}
    return [
        {column: variable.get(column) for column in VARIABLE_COLUMNS}
        | {"frozen": "yes" if variable["variable"] in frozen else "no"}
        for variable in imported.get("variables", ())
    ]


def picture(provenance: dict, frozen) -> str:
    """The frozen graph as an SVG; where there is none, or it cannot be drawn, an SVG that says so."""
    if frozen is None:
        return graph_picture.sentence("there is no frozen graph to draw")
    try:
        return graph_picture.picture(frozen, provenance["inputs"], provenance["outputs"])
    except _BROUGHT_ABOUT:
        traceback.print_exc()
        return graph_picture.sentence("the graph cannot be drawn; list_ops.log says why")


def write_table(rows: list[dict], columns: tuple[str, ...], path: str | Path) -> None:
    """Writes a CSV file, whole or not at all. Raises OSError."""
    # dtype object keeps integers whole in a column that has empty cells.
    table = pd.DataFrame(rows, columns=list(columns), dtype=object)
    with records.written_whole(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def write_faults(faults: list[Problem], model: str, path: Path) -> None:
    """Writes a record of the first fault of the machine; where there was none, none is left. Raises OSError."""
    path.unlink(missing_ok=True)
    if faults:
        records.write_json(path, records.failure("list_ops", faults[0]) | {"model": model})


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the model's id")
    parser.add_argument("--import-record", required=True, help="the model's import.json")
    parser.add_argument("--provenance", required=True, help="the model's provenance.json")
    parser.add_argument("--frozen-graph", required=True, type=Path, help="frozen_graph.pb, which need not exist")
    parser.add_argument("--ops", required=True, help="ops.csv, to be written")
    parser.add_argument("--frozen-ops", required=True, help="frozen_ops.csv, to be written")
    parser.add_argument("--variables", required=True, help="variables.csv, to be written")
    parser.add_argument("--findings", required=True, help="findings.csv, to be written")
    parser.add_argument("--graph", required=True, help="graph.svg, to be written")
    args = parser.parse_args(argv)

    try:
        imported, provenance = records.load(args.import_record), records.load(args.provenance)
    except (OSError, ValueError) as error:
        print(f"list_ops: {error}", file=sys.stderr)
        return 1
    write_table(variables(imported, provenance), VARIABLE_COLUMNS, args.variables)
    faults: list[Problem] = []
    meta_graph, frozen = meta_graph_of(imported, faults), frozen_graph_of(provenance, args.frozen_graph)
    found = [row | {"model": args.model} for row in findings(imported, provenance, meta_graph, frozen, faults)]
    rows = [tuple(row[column] for column in FINDING_COLUMNS) for row in found]
    tables.write(args.findings, tables.table(rows, FINDING_COLUMNS, set(), set()))
    with records.written_whole(args.graph) as temporary:
        temporary.write_text(picture(provenance, frozen), encoding="utf-8")
    for rows, path in zip(ops(meta_graph, frozen, faults), (args.ops, args.frozen_ops), strict=True):
        write_table(rows, OP_COLUMNS, path)
    write_faults(faults, args.model, Path(args.ops).with_name("list_ops.json"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
