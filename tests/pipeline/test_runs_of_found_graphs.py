"""A model whose graph is found around its checkpoint, from run to run."""

import csv
import json
import shutil

import pytest
from google.protobuf import text_format

from conftest import SAMPLE_ZOO
from permafrost.graph.metagraph import read_meta_graph
from zoo_runs import Workspace

pytestmark = pytest.mark.slow
META = "model.ckpt.meta"


def test_a_model_is_made_again_when_a_graph_around_it_changes_or_comes_up(tmp_path):
    workspace = Workspace(tmp_path)
    shutil.copytree(SAMPLE_ZOO / "linear", workspace.zoo / "linear" / "ckpt")
    meta, graph = workspace.zoo / "linear" / "ckpt" / META, workspace.zoo / "linear" / "graph" / "train.meta"
    graph.parent.mkdir()
    meta.rename(graph)
    run = workspace.run()
    assert run.status == 0 and workspace.summary()["status"].to_dict() == {"linear/ckpt/model.ckpt": "verified"}
    provenance = workspace.frozen / "linear" / "ckpt" / "model.ckpt" / "provenance.json"
    assert "train.meta" in json.loads(provenance.read_text())["sha256"]
    with (workspace.reports / "zoo.csv").open() as file:
        rows = {row["prefix"]: row for row in csv.DictReader(file)}
    assert str(graph.relative_to(tmp_path)) in rows["my zoo/linear/ckpt/model.ckpt"]["findings"]
    assert workspace.run().nothing_done

    meta_graph = read_meta_graph(graph)
    meta_graph.meta_info_def.meta_graph_version = "another"
    graph.write_bytes(meta_graph.SerializeToString())
    run = workspace.run()
    assert run.status == 0 and run.jobs["import_meta"] == run.jobs["verify"] == 1

    meta_graph.graph_def.node.add(name="more", op="NoOp")
    text = meta.with_name("graph.pbtxt")
    text.write_text(text_format.MessageToString(meta_graph.graph_def))
    assert workspace.run().status == 0, "it holds all of the other, and restores the same"

    next(node for node in meta_graph.graph_def.node if node.op == "Placeholder").attr["shape"].shape.unknown_rank = True
    text.write_text(text_format.MessageToString(meta_graph.graph_def))
    run = workspace.run()
    assert run.status == 1
    (row,) = workspace.summary().to_dict("records")
    assert (row["status"], row["cause"]) == ("failed", "no_meta_graph")
    assert "train.meta" in row["message"] and "graph.pbtxt" in row["message"] and "input_graph" in row["hint"]
    assert "Traceback" not in run.output and not provenance.with_name("frozen_graph.pb").exists()
