"""The forward graph of a training graph: what is left of it without all that is there for training and watching."""
