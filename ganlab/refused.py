class Refused(Exception):
    """What cannot work: at most three lines that say what was wrong, where, and what to do."""


class Failed(RuntimeError):
    """What went wrong while a run was under way, in at most three lines."""
