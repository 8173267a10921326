"""Tables, pictures and cards from measured rows."""

from keras_roots.training.reports import force_runs, performance
from keras_roots.training.reports.compression import (
    RANKED,
    analyse,
    export_stages,
    ranks,
    render_stages,
)
from keras_roots.training.reports.coordinating_filters import DATASET, table1
from keras_roots.training.reports.deep_roots import figure5, figure6, table2
from keras_roots.training.reports.delivery import (
    deliver,
    deliver_unlabelled,
    render_budget,
    render_unlabelled,
)
from keras_roots.training.reports.lowerings import measure_lowerings
from keras_roots.training.reports.paper_counts import print_tables, tables
from keras_roots.training.reports.planning import (
    compare_judges,
    compare_orders,
    time_planning,
)
from keras_roots.training.reports.release import release, write_cards
from keras_roots.training.reports.sweep import render as render_sweep
from keras_roots.training.reports.sweep import sweep_network
from keras_roots.training.reports.throughput import (
    format_throughputs,
    measure_throughput,
)
from keras_roots.training.reports.trainees import make_trainees

__all__ = [
    "DATASET",
    "RANKED",
    "analyse",
    "compare_judges",
    "compare_orders",
    "deliver",
    "deliver_unlabelled",
    "export_stages",
    "figure5",
    "figure6",
    "force_runs",
    "format_throughputs",
    "make_trainees",
    "measure_lowerings",
    "measure_throughput",
    "performance",
    "print_tables",
    "ranks",
    "release",
    "render_budget",
    "render_stages",
    "render_sweep",
    "render_unlabelled",
    "sweep_network",
    "table1",
    "table2",
    "tables",
    "time_planning",
    "write_cards",
]
