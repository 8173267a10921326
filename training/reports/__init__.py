"""Tables, pictures and cards from measured rows."""

from keras_roots.training.reports.cards import PROVENANCE
from keras_roots.training.reports.cards import write as write_card
from keras_roots.training.reports.conversions import INDEX as CONVERSIONS
from keras_roots.training.reports.conversions import Conversion, Converted, convert
from keras_roots.training.reports.conversions import read_index as read_conversions
from keras_roots.training.reports.deep_roots import figure5, figure6, table2
from keras_roots.training.reports.force_results import DATASET, paper_rows, table1
from keras_roots.training.reports.paper_counts import print_tables, tables
from keras_roots.training.reports.performance_measuring import OTHER_RUNTIMES
from keras_roots.training.reports.performance_measuring import measure as measure_suite
from keras_roots.training.reports.performance_pictures import draw as draw_performance
from keras_roots.training.reports.performance_rows import table as performance_table
from keras_roots.training.reports.performance_suites import SUITES, Suite
from keras_roots.training.reports.performance_suites import quick as quick_suite

__all__ = [
    "CONVERSIONS",
    "Conversion",
    "Converted",
    "DATASET",
    "OTHER_RUNTIMES",
    "PROVENANCE",
    "SUITES",
    "Suite",
    "convert",
    "draw_performance",
    "figure5",
    "figure6",
    "measure_suite",
    "paper_rows",
    "performance_table",
    "print_tables",
    "quick_suite",
    "read_conversions",
    "table1",
    "table2",
    "tables",
    "write_card",
]
