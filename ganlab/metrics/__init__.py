"""How good generated samples are: features, their statistics, scores."""

from ganlab.metrics.extractors import (
    CLIP,
    Classifier,
    DINOv2,
    Extractor,
    Inception,
    Module,
    Pixels,
    Points,
    StackedClassifier,
)

__all__ = [
    "CLIP",
    "Classifier",
    "DINOv2",
    "Extractor",
    "Inception",
    "Module",
    "Pixels",
    "Points",
    "StackedClassifier",
]
