"""Tables, pictures and cards from measured rows."""

from keras_roots.training.reports import performance
from keras_roots.training.reports.cards import PROVENANCE
from keras_roots.training.reports.cards import write as write_card
from keras_roots.training.reports.compression import (
    RANKED,
    analyse,
    deliver,
    export_stages,
    ranks,
    render_budget,
    render_stages,
)
from keras_roots.training.reports.deep_roots import figure5, figure6, table2
from keras_roots.training.reports.force_results import DATASET, paper_rows, table1
from keras_roots.training.reports.paper_counts import print_tables, tables

__all__ = [
    "DATASET",
    "PROVENANCE",
    "RANKED",
    "analyse",
    "deliver",
    "export_stages",
    "figure5",
    "figure6",
    "paper_rows",
    "performance",
    "print_tables",
    "ranks",
    "render_budget",
    "render_stages",
    "table1",
    "table2",
    "tables",
    "write_card",
]
