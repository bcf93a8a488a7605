"""The frozen graph, made from the meta graph and written from the checkpoint's bytes."""
