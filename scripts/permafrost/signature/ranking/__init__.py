"""What could be an output of a training graph, how likely each of it is one, and which set of it to choose."""
