"""How good generated samples are: features, their statistics, scores."""

from ganlab.metrics.extractors import (
    CLIP,
    Centred,
    Classifier,
    ColourClassifier,
    DINOv2,
    Extractor,
    Inception,
    Module,
    MovingPixels,
    Pixels,
    Points,
    SoundClassifier,
    StackedClassifier,
)
from ganlab.metrics.extractors.extractor import Seen
from ganlab.metrics.frames import Consistency, FrameFID
from ganlab.metrics.lines import BlankAccuracy, Distinct, NgramJS, SelfBLEU, Valid
from ganlab.metrics.motion import Motion
from ganlab.metrics.pairs import L1, PSNR, SSIM
from ganlab.metrics.score import FeatureScore, PairScore, SampleScore, Score, Value
from ganlab.metrics.style import Content, Style
from ganlab.metrics.vgg import VGGContent, VGGStyle

__all__ = [
    "CLIP",
    "L1",
    "PSNR",
    "SSIM",
    "BlankAccuracy",
    "Centred",
    "Classifier",
    "ColourClassifier",
    "Consistency",
    "Content",
    "DINOv2",
    "Distinct",
    "Extractor",
    "FeatureScore",
    "FrameFID",
    "Inception",
    "Module",
    "Motion",
    "MovingPixels",
    "NgramJS",
    "PairScore",
    "Pixels",
    "Points",
    "SampleScore",
    "Score",
    "Seen",
    "SelfBLEU",
    "SoundClassifier",
    "StackedClassifier",
    "Style",
    "VGGContent",
    "VGGStyle",
    "Valid",
    "Value",
]
