"""A proven frozen graph in the formats that people run: a SavedModel, ONNX, TensorFlow Lite."""
