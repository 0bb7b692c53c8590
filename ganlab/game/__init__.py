"""The one training step that all variants share, and the parts that it is made of."""
