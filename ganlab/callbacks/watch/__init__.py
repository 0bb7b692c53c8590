"""What the watchdog knows of a run: its samples, scores and terms, and the symptoms and verdict they give."""
