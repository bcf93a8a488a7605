"""What a model's jobs are to ask of a cluster: memory, and time.

Where the user set a model's limits, these; else an estimate by the checkpoint's bytes, and at least the defaults, which
are those of profiles/slurm. `memory_mb` and `timeout` by themselves are caps against strange graphs, many times what a
job takes.
"""

import math

DEFAULT_MB, DEFAULT_MINUTES = 2000, 2
# Of TensorFlow and the graph, and for each byte of the checkpoint: the judge holds the weights of both sides.
_BASE_MB, _TIMES = 1500, 5
_MINUTES_PER_GB = 2
_OVERHEAD_MB = 1000  # beside what `memory_mb` bounds: the stage's own Python
# They run the graph, or convert it, once each, within `timeout`.
_RUNNING = ("import_meta", "verify", "judge", "export_onnx", "export_tflite", "judge_export")


def mem_mb(checkpoint_bytes: int, memory_mb: int | None) -> int:
    """The memory (MB) of one stage of a model.

    Args:
      memory_mb: the model's own limit; None where its settings do not say.
    """
    if memory_mb is not None:
        return memory_mb + _OVERHEAD_MB
    return max(DEFAULT_MB, _BASE_MB + math.ceil(_TIMES * checkpoint_bytes / 1e6))


def runtime(stage: str, checkpoint_bytes: int, timeout: float | None) -> int:
    """The time (minutes) of one stage of a model.

    Args:
      timeout: the model's own limit (s); None where its settings do not say.
    """
    if timeout is not None and stage in _RUNNING:
        return math.ceil(timeout / 60) + 1
    return DEFAULT_MINUTES + math.floor(_MINUTES_PER_GB * checkpoint_bytes / 1e9)
