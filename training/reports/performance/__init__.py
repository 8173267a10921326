"""Measured latency, memory and size of networks: suites, their results and pictures."""

from keras_roots.training.reports.performance.conversions import convert
from keras_roots.training.reports.performance.measure import possible
from keras_roots.training.reports.performance.pictures import draw
from keras_roots.training.reports.performance.results import run, show
from keras_roots.training.reports.performance.suites import SUITES, Suite, choose

__all__ = ["SUITES", "Suite", "choose", "convert", "draw", "possible", "run", "show"]
