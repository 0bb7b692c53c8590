class Refused(ValueError):
    """What cannot work, said before any work is lost: what was wrong, where, and what to do, in at most three lines."""
