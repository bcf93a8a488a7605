"""A checkpoint's tensors and their bytes, in either format, without TensorFlow."""
