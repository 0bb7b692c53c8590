"""What a trained GAN is good for: pictures rebuilt, and those found that are not normal."""
