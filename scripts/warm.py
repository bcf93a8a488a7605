"""Runs a stage in a forked child of a process that has TensorFlow loaded.

    python warm.py STAGE [ARG ...]
    python warm.py --if-running STAGE [ARG ...]
    python warm.py --start

The first does what `python scripts/STAGE.py ARG ...` does, without the seconds of `import tensorflow`: it asks the
run's worker (permafrost/workflow/worker.py) to fork a child for the stage, and starts the worker if there is none. The
second, for programs that need no TensorFlow, becomes that command itself if there is none. The last only starts the
worker. The kernel kills this program when the process that started it ends.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # For `python -I`, which starts sooner.

from permafrost.workflow.client import main

sys.exit(main())
