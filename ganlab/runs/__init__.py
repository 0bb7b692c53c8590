"""A run's folder: what lies in it, which checkpoint it goes on from, and how it is read back."""
