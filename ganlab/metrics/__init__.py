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
from ganlab.metrics.extractors.extractor import Seen
from ganlab.metrics.pairs import L1, PSNR, SSIM
from ganlab.metrics.score import FeatureScore, PairScore, SampleScore, Score, Value

__all__ = [
    "CLIP",
    "L1",
    "PSNR",
    "SSIM",
    "Classifier",
    "DINOv2",
    "Extractor",
    "FeatureScore",
    "Inception",
    "Module",
    "PairScore",
    "Pixels",
    "Points",
    "SampleScore",
    "Score",
    "Seen",
    "StackedClassifier",
    "Value",
]
