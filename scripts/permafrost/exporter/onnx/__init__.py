"""ONNX: a prepared graph through tf2onnx, with what that lacks, and its large weights beside the file."""
