"""The card of each model: what goes in and comes out, how it is used, what was verified, its files and their hashes."""
