"""A prepared graph in TensorFlow Lite's format, of its built-in ops alone."""
