"""What is known of op types: their definitions, and which read, write, keep a state or reach beyond the graph."""
