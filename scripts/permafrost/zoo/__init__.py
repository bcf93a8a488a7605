"""Which checkpoints there are, and which of them are the models: directories, files, names, and other files named."""
