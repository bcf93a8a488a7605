"""The tables that Permafrost writes: a file a table, a line a column."""
