"""Features: what the program calls a candidate, and in which scopes it made it."""

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from math import log

from permafrost.graph.index import tensor_name
from permafrost.graph.protos import MetaGraphDef
from permafrost.signature.forward.marks import INTERNAL
from permafrost.signature.ranking.anatomy import EXITS, Anatomy

_AS_OUTPUT = re.compile(
    r"(^|[/_])(predict\w*|outputs?|logits?|prob\w*|scores?|softmax|sigmoid|action|value\w*|classes|embeddings?|y_pred)"
    r"(_\d+)?$",
    re.IGNORECASE,
)


def _scope(words: str, end: str = "([/_]|$)") -> re.Pattern[str]:
    return re.compile(rf"(^|[/_])({words})(_\d+)?{end}", re.IGNORECASE)


_WORDS = {
    "loss": _scope(
        r"loss\w*|cost|error|err|xent|cross_?entropy|mse|mae|objective|penalty|regulari\w*|l2_?loss|elbo|kl\w*|entropy"
    ),
    "metric": _scope(r"acc|accuracy|metrics?|precision|recall|auc|confusion\w*|iou|f1|correct\w*|eval\w*"),
    "training": _scope(
        r"train\w*|optimi[sz]er?\w*|adam|rmsprop|momentum|adagrad|sgd|grad\w*|clip_by_\w*norm|update\w*|assign|moving\w*"
        r"|ema|ExponentialMovingAverage|apply\w*|learning_rate|decay\w*|beta\d_power|global_norm|averag\w*|moments"
        r"|batchnorm|batch_norm\w*|bn|batch_normalization",
        "(/|$)",
    ),
    "beginning and saving": _scope(
        r"init\w*|save\w*|restore\w*|summar\w*|report_uninit\w*|tensorboard|histogram\w*|zero_fraction\w*"
    ),
    "inference": _scope(r"test\w*|infer\w*|eval\w*|predict\w*|sampl\w*|val\w*|decode\w*|generat\w*|valid\w*"),
    "a target network": _scope(
        r"(targ\w*|old\w*|next\w*|frozen|delayed|fixed|q_next|teacher)(_?(net|network|q|model|actor|critic|policy)\w*)?"
    ),
    "a generator or an actor": _scope(
        r"gen\w*|actor\w*|policy\w*|pi|mu|decoder|recon\w*|eval_net|main|online|q_?eval|student"
    ),
    "a discriminator or a critic": _scope(
        r"disc\w*|critic\w*|d_?net|d_(real|fake)\w*|advers\w*|vgg\w*|real|fake"
    ),
    "dropout": _scope(r"dropout"),
    "labels": _scope(r"labels?|targets?|y_?true|gt|ground_?truth|y_?|truth"),
}  # fmt: skip
LABEL = _WORDS["labels"]
# The last parts of names that libraries and tf.* functions give by themselves.
_GIVEN = re.compile(
    r"^(softmax|sigmoid|arg_?max|add|mul|matmul|xw_plus_b|biasadd|relu|tanh|reshape|mean|sum|sub|transpose|squeeze|stack"
    r"|strided_slice|concat|packed|pack|unpack|unstack|cond|merge|exit|moments|batchnorm|batch_norm|clip_by_value|range"
    r"|dropout|div|truediv|equal|cast|gather|embedding_lookup|lstm_cell|to_float|toint64|tofloat|identity"
    r"|control_dependency|group_deps|while.*)$"
)
# Collections that libraries fill; what a program puts into one of its own, it means to find again.
_GIVEN_COLLECTIONS = re.compile(
    r"variables$|^train_op$|^losses$|^summar|update_ops|context$|^global_step$|queue_runners|^savers?$|init_op"
    r"|initiali[sz]er|table|regulari|moving_average|resources|saved_model|ready|report|eval_step|local|iterator|asset"
    r"|embeddings?_?config|scaffold|stats|trainops|train_ops|grad|checks|exclude|inputs?$|targets$|data_prep|data_aug"
    r"|layer_tensor|layer_variables",
    re.IGNORECASE,
)
_MOST_COLLECTED = 20  # nodes in a collection that says anything
_MOST_SCOPES = 5


class Names:
    """The names of candidates, and the scopes and collections in which they are."""

    def __init__(self, anatomy: Anatomy, names: list[str], first: dict[str, str]):
        self._anatomy = anatomy
        self._collected = _collected(anatomy.survey.meta_graph)
        self._alike: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name in names:
            self._alike[self._key(name)].append(name)
        self._distinct = {key: len({first[name] for name in alike}) for key, alike in self._alike.items()}

    def _key(self, name: str) -> tuple[str, str]:
        # The Exits of a loop are parts of one state.
        op = self._anatomy.ops[name]
        return op, name if op in EXITS else leaf(name)

    def of(self, name: str) -> Iterator[tuple[str, float | bool]]:
        """(feature, value) for each that may hold of a candidate."""
        op, scope = self._anatomy.ops[name], name.rpartition("/")[0]
        own = _is_own(name, op)
        yield "named as an output", bool(_AS_OUTPUT.search(name))
        yield "the program gave it a name of its own", own
        yield "has a name of its own outside of all scopes", own and not scope
        yield "is outside of all scopes", not scope
        yield "was only made to have a name", own and op == "Identity"
        yield "is in a collection of the program's", name in self._collected
        yield "scopes around it", min(name.count("/"), _MOST_SCOPES) / _MOST_SCOPES
        yield "is numbered", leaf(name) != name.rpartition("/")[2]
        for word in words(name):
            yield f"its name speaks of {word}", True
        takers = self._anatomy.taken_by(name)
        outside = [taker for taker in takers if not taker.startswith(f"{scope}/")] if scope else []
        yield "leaves its scope", bool(outside)
        yield "is the last of its scope", bool(outside) and len(outside) == len(takers)
        yield "is in a canned head", "/predictions/" in f"/{name}" and self._anatomy.layers.get(name, 0) > 0
        key = self._key(name)
        alike = self._alike[key]
        yield "is the last of its name", len(alike) > 1 and alike[-1] == name
        yield "is the first of its name", len(alike) > 1 and alike[0] == name
        yield "crowd of its name", log(self._distinct[key]) / 5


def leaf(name: str) -> str:
    """The last part of a node's name, without the number that TensorFlow appends."""
    return re.sub(r"_\d+$", "", name.rpartition("/")[2])


@lru_cache(maxsize=1 << 16)
def words(name: str) -> tuple[str, ...]:
    """What the words in a node's name speak of."""
    return tuple(word for word, pattern in _WORDS.items() if pattern.search(name))


def _is_own(name: str, op: str) -> bool:
    last = leaf(name).lower()
    return last != op.lower() and not _GIVEN.match(last) and not INTERNAL.search(name)


def _collected(meta_graph: MetaGraphDef) -> set[str]:
    found: set[str] = set()
    for key, collection in meta_graph.collection_def.items():
        values = collection.node_list.value if collection.WhichOneof("kind") == "node_list" else ()
        if len(values) <= _MOST_COLLECTED and not _GIVEN_COLLECTIONS.search(key):
            found |= {tensor_name(value)[0] for value in values}
    return found
