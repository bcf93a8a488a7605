"""The judge's first layer, without running: what a frozen graph may differ in, derived here a second time."""
