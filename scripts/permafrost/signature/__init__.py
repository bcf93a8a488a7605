"""What goes into a model and what comes out, named in the settings or found in its graph."""
