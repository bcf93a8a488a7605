"""docs/how-to.md: its commands are run, with its files, over a zoo of the two models that it speaks of."""

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import forked_snakemake
from conftest import HOME, SAMPLE_ZOO
from zoo_runs import SNAKEFILE

v1 = tf.compat.v1
pytestmark = pytest.mark.slow(minutes=1)
PAGE = (HOME / "docs" / "how-to.md").read_text(encoding="utf-8")
MODEL = "lenet/model.ckpt"


def save_lenet(directory: Path) -> None:
    """A checkpoint with the inputs and outputs that the page names."""
    directory.mkdir(parents=True)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(1)
        images = v1.placeholder(tf.float32, [None, 32, 32, 1], "images")
        words = v1.placeholder(tf.int32, [None, 3], "words")
        keep_prob = v1.placeholder(tf.float32, [], "keep_prob")
        kernel, table = v1.get_variable("kernel", [5, 5, 1, 4]), v1.get_variable("table", [9, 4])
        features = tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "VALID")), [1, 2])
        features += tf.reduce_sum(tf.gather(table, words), 1)
        logits = tf.identity(tf.matmul(features * keep_prob, v1.get_variable("W", [4, 5])), "logits")
        tf.argmax(logits, 1, name="prediction")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(directory / "model.ckpt"), write_state=False)


@dataclass
class Reader:
    """Somebody who follows the page, with `data` where it says /data."""

    directory: Path
    data: Path

    def run(self, command: str) -> int:
        """Runs one line; returns its exit status. Snakemake is not started anew for it."""
        words = shlex.split(command)
        if words[0] == "snakemake":
            return forked_snakemake.run([*SNAKEFILE, *words[1:]], self.directory, joined=True).returncode
        return subprocess.run(command, shell=True, cwd=self.directory).returncode

    def follow(self, title: str) -> list[int]:
        """Writes a section's files and runs its lines, in their order; returns the exit statuses of the lines."""
        text = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0].replace("/data", str(self.data))
        statuses = []
        for kind, body in re.findall(r"^```(yaml|sh)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            if kind == "yaml":
                name = re.match(r"# (\w+\.yaml)\n", body)
                (self.directory / name[1]).write_text(body, encoding="utf-8")
            else:
                statuses += [self.run(line) for line in body.splitlines() if "activate" not in line]
        return statuses

    def run_mine(self, *more: str) -> int:
        """The page's command with mine.yaml. more: words before it."""
        where = [f"{name}={self.data / name}" for name in ("zoo", "frozen", "reports")]
        return self.run(shlex.join(["snakemake", *more, "--configfile", "mine.yaml", "--config", *where]))

    def row(self, table: str) -> dict[str, str]:
        """The first row of the model in a table of the reports."""
        rows = pd.read_csv(self.data / "reports" / table, dtype=str, keep_default_na=False)
        return rows[rows["model"] == MODEL].iloc[0].to_dict()


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Reader:
    """A reader who has followed the first section."""
    directory = tmp_path_factory.mktemp("how-to")
    found = Reader(directory, directory / "data")
    save_lenet(found.data / "zoo" / "lenet")
    shutil.copytree(SAMPLE_ZOO / "broken_missing_shard", found.data / "zoo" / "old")
    # The exit status is 1 until what cannot be mended is expected.
    assert found.follow("Freeze my own zoo") == [1, 0, 0]
    assert found.row("summary.csv")["status"] == "verified"
    return found


def test_settings_name_outputs_and_inputs(reader):
    assert reader.follow("Outputs were not found, or not those I want") == [0]
    assert MODEL in (reader.data / "reports" / "settings.yaml").read_text()
    assert reader.run_mine() == 1  # mine.yaml expects nothing of old/ any more.
    assert reader.row("summary.csv")["outputs"] == "logits; prediction"
    np.savez(reader.directory / "feeds.npz", words=np.ones([2, 3], np.int32))
    assert reader.follow("The inputs do not fit") == []
    assert reader.run_mine() == 1
    row = reader.row("summary.csv")
    assert row["status"] == "verified" and (reader.data / "frozen" / MODEL / "frozen_graph.pb").exists()


def test_a_model_is_judged_once_more(reader):
    (command,) = re.findall(r"`(snakemake .+ --forcerun verify)`", PAGE)
    record = reader.data / "reports" / "models" / MODEL / "verify.json"
    before = os.stat(record).st_mtime_ns
    words = shlex.split(command)[1:]
    assert reader.run_mine(*words) == 0
    assert os.stat(record).st_mtime_ns > before


def test_a_frozen_graph_that_is_shipped_is_judged(reader):
    (reader.directory / "shipped").mkdir()
    shutil.copy(reader.data / "frozen" / MODEL / "frozen_graph.pb", reader.directory / "shipped" / "lenet.pb")
    assert reader.follow("Check a frozen graph that I ship already") == [0]
    assert reader.row("judged.csv")["status"] == "verified"


def test_a_model_is_exported_and_handed_on(reader):
    pytest.importorskip("permafrost.judge.exports.deciding")
    assert reader.follow("Export what was frozen") == []
    assert reader.run_mine() == 1
    exports = pd.read_csv(reader.data / "reports" / "exports.csv").set_index("format")["status"]
    assert exports.to_dict() == {"saved_model": "verified", "onnx": "verified"}
    page = PAGE.partition("## Hand a model on")[2].partition("```sh")
    assert page[1], "the section has files first, then the lines that check them"
    (reader.directory / "mine.yaml").write_text(re.search(r"```yaml\n(.*?)```", page[0], re.DOTALL)[1])
    assert reader.run_mine() == 1
    assert reader.follow("Hand a model on") == [0, 0]
    assert "Traffic signs" in (reader.data / "frozen" / MODEL / "card.md").read_text()
