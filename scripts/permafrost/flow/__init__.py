"""In which order the nodes of a graph run, under which conditions, and which of them share memory."""
