"""Where strangers' graphs run: in a child process that has little time, little memory, and few files."""
