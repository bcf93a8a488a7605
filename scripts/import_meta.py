"""Imports a model's meta graph: its variables with their checkpoint keys, its outputs and its inputs.

Reads the meta graph and the checkpoint's index, and TensorFlow's op registry; no graph is run.
"""

import argparse
import contextlib
import json

from permafrost import graph_files, importing, records
from permafrost.checkpoint import open_checkpoint
from permafrost.contract import Problem
from permafrost.metagraph import GraphIndex


def import_model(source: dict, settings: dict, facts: dict) -> dict | None:
    """Adds to `facts` what is known of the model, as far as it goes; returns the problem that discovery found, if any.

    Args:
      source: a model as discovery describes it (permafrost.discovery).
      settings: `outputs`, `inputs`, `weights` and `checkpoint_version` as in config.yaml.
    Raises Problem for whatever keeps the model from being frozen.
    """
    facts.update({key: source[key] for key in ("prefix", "step", "format", "meta", "findings")})
    facts["checkpoint_bytes"] = source["bytes"]
    facts["graph"] = source.get("graph") or graph_files.describe(source["meta"])
    if problem := source["problem"]:
        with contextlib.suppress(Problem):
            facts.update(importing.describe_graph(graph_files.read(facts["graph"])))
        return records.failure("discover", Problem(problem["cause"], problem["message"], problem["hint"]))
    meta_graph = graph_files.read(facts["graph"])
    facts.update(importing.describe_graph(meta_graph))
    if not meta_graph.saver_def.restore_op_name:
        facts["findings"] = [*facts["findings"], "the graph has no saver; its variables are restored by their names"]
    index = GraphIndex(meta_graph.graph_def)
    with open_checkpoint(source["prefix"]) as checkpoint:
        facts["format"], facts["checkpoint_bytes"] = checkpoint.format, checkpoint.bytes
        if settings["checkpoint_version"] not in (None, checkpoint.format):
            raise Problem("bad_setting", f"{source['prefix']} is a checkpoint of format {checkpoint.format}")
        facts["variables"] = importing.describe_variables(
            facts["graph"]["path"], meta_graph, index, checkpoint.tensors, settings["weights"], "graph" in source
        )
    facts.update(importing.choose(meta_graph, index, facts["variables"], settings))
    return None


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the model's id")
    parser.add_argument("--source", required=True, type=json.loads, help="JSON: prefix, meta, format, ... of the model")
    parser.add_argument("--settings", required=True, type=json.loads, help="JSON: outputs and inputs")
    parser.add_argument("record", help="import.json, to be written")
    args = parser.parse_args(argv)

    records.write_record(
        "import_meta", args.model, args.record, lambda facts: import_model(args.source, args.settings, facts)
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
