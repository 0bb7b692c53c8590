"""Networks and averages that turn samples into the features that scores are computed from."""

from ganlab.metrics.extractors.classifiers import Classifier, StackedClassifier
from ganlab.metrics.extractors.clip import CLIP
from ganlab.metrics.extractors.clips import Centred, MovingPixels
from ganlab.metrics.extractors.colour_classifiers import ColourClassifier
from ganlab.metrics.extractors.dinov2 import DINOv2
from ganlab.metrics.extractors.extractor import Extractor, Module, Pixels, Points
from ganlab.metrics.extractors.inception import Inception
from ganlab.metrics.extractors.sounds import SoundClassifier

__all__ = [
    "CLIP",
    "Centred",
    "Classifier",
    "ColourClassifier",
    "DINOv2",
    "Extractor",
    "Inception",
    "Module",
    "MovingPixels",
    "Pixels",
    "Points",
    "SoundClassifier",
    "StackedClassifier",
]
