"""A game's state on disk: checksummed files, weights, games rebuilt without trust, exports."""
