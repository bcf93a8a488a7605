"""What docs/exports.md says is run: its settings, its commands but for docker's, and the code for each format."""

import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import yaml

import forked_snakemake
from conftest import HOME, SAMPLE_ZOO
from permafrost import settings
from permafrost.outcome import CAUSES
from zoo_runs import SNAKEFILE, logs_of, planned_jobs

PAGE = (HOME / "docs" / "exports.md").read_text(encoding="utf-8")
MODEL = "conv_batchnorm/model.ckpt"
REST = "urllib.request"

# Answers as TensorFlow Serving's REST API does for `predict` with `inputs`, and runs the client of the page against it.
SERVING = """
    import http.server, json, sys, threading
    import tensorflow as tf

    directory, name, port, client = sys.argv[1:]
    signature = tf.saved_model.load(directory).signatures["serving_default"]

    class Server(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == f"/v1/models/{name}:predict"
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            dtypes = {key: spec.dtype for key, spec in signature.structured_input_signature[1].items()}
            given = signature(**{key: tf.constant(value, dtypes[key]) for key, value in question["inputs"].items()})
            outputs = {key: value.numpy().tolist() for key, value in given.items()}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"outputs": outputs if len(outputs) > 1 else [*outputs.values()][0]}).encode())

    server = http.server.HTTPServer(("127.0.0.1", int(port)), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    exec(client)
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def run(*arguments: str, directory: Path) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """A directory in which the page's commands were run over a zoo of its model."""
    directory = tmp_path_factory.mktemp("exports")
    shutil.copytree(SAMPLE_ZOO / "conv_batchnorm", directory / "models" / "conv_batchnorm")
    (directory / "mine.yaml").write_text(blocks("yaml")[0])
    first, second = blocks("sh")[0].splitlines()
    for command in (second, first):
        done = forked_snakemake.run([*SNAKEFILE, *_arguments(command)], directory, joined=True)
        assert done.returncode == 0, done.stdout
    assert "export_onnx" not in planned_jobs(logs_of(directory)[-1].read_text()), (
        "the second run found what the first one had made"
    )
    return directory


def _arguments(command: str) -> list[str]:
    name, *arguments = shlex.split(command)
    assert name == "snakemake"
    return arguments


@pytest.mark.slow
def test_the_files_are_verified_and_lie_where_the_page_says(exported):
    rows = (exported / "reports" / "exports.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [row.split(",")[1:3] for row in rows] == [[form, "verified"] for form in ("saved_model", "onnx", "tflite")]
    there = {path.relative_to(exported / "frozen" / MODEL).as_posix() for path in exported.rglob("frozen/**/*.*")}
    assert {"saved_model/saved_model.pb", "model.onnx", "model.tflite", "export_onnx.json"} <= there
    record = json.loads((exported / "frozen" / MODEL / "export_onnx.json").read_text(encoding="utf-8"))
    assert [end["key"] for end in record["signature"]["outputs"]] == ["scores", "logits", "label"]
    assert [*record["baked"]] == ["is_training:0"]


@pytest.mark.slow
def test_the_code_for_each_format_gives_the_same(exported):
    snippets = [code for code in blocks("python") if REST not in code]
    assert len(snippets) == 4
    said = [_numbers(run("-c", code, directory=exported)) for code in snippets]
    assert all(len(numbers) == 6 for numbers in said)
    for numbers in said[1:]:
        np.testing.assert_allclose(numbers, said[0], rtol=1e-5)


@pytest.mark.slow
def test_a_server_is_asked_as_the_page_says(exported):
    (client,) = [code for code in blocks("python") if REST in code]
    (docker,) = [each for each in blocks("sh") if each.startswith("docker")]
    directory, mounted = re.search(r'-v "\$PWD/([^:"]+):/models/([^:"]+)', docker).groups()
    name, version = mounted.split("/")
    assert f"MODEL_NAME={name} " in docker and version.isdigit()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    assert "-p 8501:8501" in docker and "localhost:8501" in client
    own = client.replace("localhost:8501", f"127.0.0.1:{port}")
    said = _numbers(run("-c", textwrap.dedent(SERVING), directory, name, port, own, directory=exported))
    session = next(code for code in blocks("python") if "v1.Session" in code)
    np.testing.assert_allclose(said, _numbers(run("-c", session, directory=exported)), rtol=1e-5)


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", text)]


@pytest.mark.parametrize("block", blocks("yaml"))
def test_the_settings_are_settings(block):
    config = settings.validate(yaml.safe_load(block))
    settings.for_model(config, MODEL, MODEL)


def test_causes_of_the_page_are_causes():
    table = PAGE[PAGE.index("### What to do") : PAGE.index("### A refused op")]
    named = {
        cause for cell in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for cause in re.findall(r"`(\w+)`", cell)
    }
    assert named <= set(CAUSES)
    own = [*CAUSES][[*CAUSES].index("not_verified") : [*CAUSES].index("internal")]
    assert set(own) <= named, "the causes of exports alone all stand there"
