"""Random graphs with dropout, conds, loops and functions in each other give the same bits once they are prepared."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from permafrost.exporter.prepared import Refused
from preparing import SPECIAL, check, v1
from random_switches import Grower

FEEDS = [{"x:0": value} for value in (SPECIAL.reshape(3, 3), np.full((2, 3), 0.5, np.float32), -np.eye(3, dtype="f"))]


@pytest.fixture(autouse=True)
def control_flow():
    before = v1.control_flow_v2_enabled()
    yield
    (v1.enable_control_flow_v2 if before else v1.disable_control_flow_v2)()


@pytest.mark.parametrize("seed", range(int(os.environ.get("PREPARATIONS", "12"))))
def test_a_random_graph(seed, tmp_path) -> None:
    bake = {"training:0": np.array(False), "keep:0": np.float32(1), "level:0": np.int32(seed % 3)}
    try:
        check(Grower(seed).build, tmp_path, FEEDS, bake, outputs=("y:0", "z:0"))
    except Refused as refused:
        assert refused.op == "RandomStandardNormal"
