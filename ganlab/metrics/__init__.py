"""How good generated samples are: features, their statistics, scores."""

from ganlab.metrics.classifiers import Classifier, StackedClassifier
from ganlab.metrics.extractors import Extractor, Module, Pixels, Points
from ganlab.metrics.inception import Inception

__all__ = ["Classifier", "Extractor", "Inception", "Module", "Pixels", "Points", "StackedClassifier"]
