"""The command `ganlab`: one file a command, each thin."""
