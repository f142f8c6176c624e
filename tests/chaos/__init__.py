"""Commands that are killed at every change they make to files, and run again."""
