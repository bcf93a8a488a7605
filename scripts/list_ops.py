"""Lists a model's ops before and after it was frozen, its variables, and what to warn about, as CSV files.

A table for which there is nothing has its header alone. The frozen graph is drawn as well, in a few boxes. What takes
more time or memory than the model's settings allow, or cannot be made, is left out, and findings.csv says so.
list_ops.json says how long it took; where the machine failed it says that, and the next run makes all of it again.
"""

import argparse
import sys
from pathlib import Path

from permafrost.model import Limits
from permafrost.recording import reader
from permafrost.stages import list_model


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the model's id")
    parser.add_argument("--import-record", required=True, help="the model's import.json")
    parser.add_argument("--provenance", required=True, help="the model's provenance.json")
    parser.add_argument("--frozen-graph", required=True, type=Path, help="frozen_graph.pb, which need not exist")
    parser.add_argument(
        "--settings", type=reader(Limits), default=Limits(), help="JSON: timeout, memory_mb, ... of the model"
    )
    parser.add_argument("--attempt", default="", help="a token for the record, where an earlier one does not hold")
    parser.add_argument("--ops", required=True, help="ops.csv, to be written")
    parser.add_argument("--frozen-ops", required=True, help="frozen_ops.csv, to be written")
    parser.add_argument("--variables", required=True, help="variables.csv, to be written")
    parser.add_argument("--findings", required=True, help="findings.csv, to be written")
    parser.add_argument("--graph", required=True, help="graph.svg, to be written")
    parser.add_argument("--record", required=True, help="list_ops.json, to be written")
    args = parser.parse_args(argv)

    lists = list_model.Lists(args.ops, args.frozen_ops, args.variables, args.findings, args.graph, args.record)
    try:
        list_model.run(
            args.model, args.attempt, args.import_record, args.provenance, args.frozen_graph, args.settings, lists
        )
    except (OSError, ValueError) as error:
        print(f"list_ops: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
