class Refused(Exception):
    """What cannot work: at most three lines that say what was wrong, where, and what to do."""
