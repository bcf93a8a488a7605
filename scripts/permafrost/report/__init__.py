"""Tables, findings, pictures and settings, for people and their programs."""
