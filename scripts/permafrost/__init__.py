"""What the stages of the pipeline share: discovering, freezing and judging TensorFlow 1 checkpoints."""

VERSION = "0.1.0"
