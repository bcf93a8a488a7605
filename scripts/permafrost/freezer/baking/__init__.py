"""Inputs that become constants of the frozen graph, and what is decided by them: sides of conds, branches, dropout."""
