"""Which ganlab this is; checkpoints and records carry it."""

VERSION = "0.2.0"
