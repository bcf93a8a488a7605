"""Random graphs with inputs baked: the judge derives what the freezer made, and TensorFlow computes the same."""

import os

import pytest
import tensorflow as tf

import kinds
from fresh_process import in_fresh_process
from judged import saved, verified
from kinds import v1
from permafrost.judge import judging
from permafrost.outcome import VERIFIED
from random_switches import Grower
from stages import frozen, imported

SEEDS = range(int(os.environ.get("BAKED", "10")))
VALUES = [{"training": False, "keep": 1.0}, {"training": True, "keep": 0.5}]


@pytest.fixture(autouse=True)
def control_flow():
    before = v1.control_flow_v2_enabled()
    yield
    (v1.enable_control_flow_v2 if before else v1.disable_control_flow_v2)()


def build_of(seed: int):
    def build() -> None:
        Grower(seed).build()
        x, switches = (v1.get_default_graph().get_tensor_by_name(name) for name in ("x:0", "z:0"))
        # Whatever becomes of the rest, weights and all inputs are there.
        tf.identity(tf.matmul(x, kinds.weights("w", [3, 3])) + tf.reduce_sum(switches), name="out")

    return build


def made(seed: int, values: dict, directory):
    directory.mkdir()
    settings = {"outputs": ["y", "out"], "bake": values | {"level": seed % 3}}
    record = imported(saved(build_of(seed), directory), **settings)
    return record, *frozen(record, directory, **settings)


def all_verified(models: list) -> list:
    return [verified(*model) for model in models]


def test_random_graphs(tmp_path) -> None:
    models = [made(seed, values, tmp_path / f"{seed}_{values['keep']}") for seed in SEEDS for values in VALUES]
    for record, provenance, path in models:
        judging._check_structure(judging.Graphs(record, provenance, str(path)), record, provenance, {})
    found = in_fresh_process(all_verified, models[:8])
    assert {each["status"] for each in found} == {VERIFIED}, found
