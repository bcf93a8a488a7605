"""Ops that draw from a random generator whose state is a variable: those of tf.random.Generator."""

# They take the variable's handle, and move its state on (tensorflow/core/ops/stateful_random_ops.cc).
GENERATORS = frozenset(
    {
        "RngReadAndSkip", "RngSkip", "StatefulRandomBinomial", "StatefulStandardNormal", "StatefulStandardNormalV2",
        "StatefulTruncatedNormal", "StatefulUniform", "StatefulUniformFullInt", "StatefulUniformInt",
    }
)  # fmt: skip
