"""Training graphs as people wrote them for TensorFlow 1; each function builds one in the default graph.

WANTED says for each which nodes a user of the model fetches, and which placeholders (or what stands for them, such as
the end of a queue) may be fed for them; the inputs of target networks are among these. What else is fed one value (a
keep_prob, a flag), and what has a default, is not said; labels are not fed.
"""

from training_graphs import (
    autoencoders,
    classifiers,
    continuous,
    decoders,
    estimators,
    generative,
    handwritten,
    images,
    pipelines,
    policies,
    q_learning,
    regressions,
    rnns,
    sequences,
    similarity,
    texts,
)
from training_graphs.layers import WANTED

__all__ = [
    "WANTED",
    "autoencoders",
    "classifiers",
    "continuous",
    "decoders",
    "estimators",
    "generative",
    "handwritten",
    "images",
    "pipelines",
    "policies",
    "q_learning",
    "regressions",
    "rnns",
    "sequences",
    "similarity",
    "texts",
]
