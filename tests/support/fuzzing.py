"""How often fuzz tests try: 150 examples, the same each time, or as many as PERMAFROST_FUZZ_EXAMPLES says."""

import os

from hypothesis import HealthCheck, settings

_EXAMPLES = os.environ.get("PERMAFROST_FUZZ_EXAMPLES")
EXAMPLES = int(_EXAMPLES or 150)
fuzz = settings(
    max_examples=EXAMPLES,
    derandomize=_EXAMPLES is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
