"""How good generated samples are: features, their statistics, scores."""

from ganlab.metrics.extractors import (
    Classifier,
    Extractor,
    Inception,
    Module,
    Pixels,
    Points,
    StackedClassifier,
)

__all__ = ["Classifier", "Extractor", "Inception", "Module", "Pixels", "Points", "StackedClassifier"]
