"""Pictures on disk: archives, decoding, the cache, grids."""
