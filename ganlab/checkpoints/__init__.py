"""A game's state on disk: checksummed files, weights, games rebuilt from untrusted files, exports."""
