"""TensorFlow runs the checkpoint's graph and the frozen one, and the two are compared."""
