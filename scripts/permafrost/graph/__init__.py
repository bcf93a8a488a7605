"""Graphs as protocol buffers: where they come from, their nodes and ops, and what part of one is needed."""
