"""The game: its one step, and what a step needs."""
