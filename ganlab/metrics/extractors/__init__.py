"""Networks and averages that turn samples into the features that scores are computed from."""

from ganlab.metrics.extractors.classifiers import Classifier, StackedClassifier
from ganlab.metrics.extractors.extractor import Extractor, Module, Pixels, Points
from ganlab.metrics.extractors.inception import Inception

__all__ = ["Classifier", "Extractor", "Inception", "Module", "Pixels", "Points", "StackedClassifier"]
