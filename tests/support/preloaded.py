"""What the process has loaded from which fresh ones are forked: TensorFlow, and Permafrost as its warm worker loads it.

To load them runs no op, and what stands here must keep to that.
"""

import importlib
import os

import pytest  # noqa: F401

import judged  # noqa: F401
from permafrost.stages import freeze_model, import_model, judge_file, list_model, verify_model  # noqa: F401
from permafrost.workflow import worker

for late in worker.LATE:
    importlib.import_module(late)

# It is set so that all of these are found; what a test starts has no such path.
os.environ.pop("PYTHONPATH", None)
