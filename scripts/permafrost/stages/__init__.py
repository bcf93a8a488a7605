"""What each stage does to one model: import it, freeze it, verify it, list its ops, or judge another tool's file."""
