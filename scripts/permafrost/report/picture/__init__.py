"""A picture of a frozen graph, as an SVG of a few boxes."""
