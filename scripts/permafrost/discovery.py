"""Which checkpoints a zoo holds, which of them are the models to freeze, and what is wrong with the others.

Runs whenever the Snakefile is read, so it opens no file whose size, mtime and inode are as they were.

    X.index, X.data-00000-of-00001 ...   a V2 checkpoint, a table of tensors and the shards with their bytes
    X, or X-00000-of-00002 ...           a V1 checkpoint, tables that hold the tensors themselves
    X.meta, X.meta.pbtxt                 the meta graph, often one for many steps
    checkpoint                           names the newest X, as a path of the machine that wrote it
"""

import hashlib
import json
import os
import re
import stat as stat_modes
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace

from permafrost.contract import Problem
from permafrost.file_kinds import TABLE, UNITY_ASSET, UNUSABLE, kind_of
from permafrost.names import model_id, printable, split_step, step_id
from permafrost.zoo_state import FileFacts
