"""The judge of exports: the runtime of each format runs the exported file, and is compared with the checkpoint."""
