"""Exports: SavedModel and LiteRT files, packing of groups, and their check."""

from keras_roots.export.check import ExportError
from keras_roots.export.litert import TFLiteReport, export_tflite
from keras_roots.export.packing import pack_groups
from keras_roots.export.runner import LiteRTModel
from keras_roots.export.saved_model import SavedModelReport, export_saved_model

__all__ = [
    "ExportError",
    "LiteRTModel",
    "SavedModelReport",
    "TFLiteReport",
    "export_saved_model",
    "export_tflite",
    "pack_groups",
]
