"""The command that prints the papers' tables."""

import pytest

from keras_roots.training.commands.reproduce import Reproduction


# Run within a process of its own: absl's flags are global.
@pytest.mark.parametrize(
    ("change", "ending"),
    [(0, "ended with None"), (1, "ended with error: 1 rows differ")],
)
def test_binary(run_python, change, ending):
    printed = run_python(
        f"""
import sys
from keras_roots.training.reports import paper_counts
from keras_roots.training.commands import reproduce
rows = paper_counts.tables()["nin"]["rows"]
del rows[2:]
rows[1]["macs"] += {change}
sys.argv = ["keras-roots-reproduce", "--table=nin"]
try:
    reproduce.run()
except SystemExit as end:
    print("ended with", end.code)
"""
    )
    assert f"{2 - change} of 2 rows match the corrected counts.\n{ending}" in printed


def test_results_that_there_are_not(run_python):
    printed = run_python(
        """
import sys
from keras_roots.training.commands import reproduce
sys.argv = ["keras-roots-reproduce", "--results=table9,figure5", "--output_dir=new"]
try:
    reproduce.run()
except SystemExit as end:
    print(end.code)
"""
    )
    assert "`results` must be of ('table2', 'figure5', 'figure6', 'table1')" in printed
    assert printed.endswith("Received: results=('table9', 'figure5')\n")


def test_results_need_a_folder():
    for asked in ({"results": ("figure5",)}, {"all": True}):
        with pytest.raises(ValueError, match="`output_dir` is required"):
            Reproduction(**asked)


def test_everything_is_counted_and_measured_in_order(run_python, tmp_path):
    run_python(
        """
import sys
from keras_roots.training import data, reports
from keras_roots.training.commands import reproduce
steps = []
reports.print_tables = lambda names, csv: steps.append((names, csv))
data.open_dataset = lambda *where: steps.append(where)
def step(name):
    return lambda conditions: steps.append((name, conditions.runs)) or []
reproduce.RESULTS.update({name: step(name) for name in reproduce.RESULTS})
sys.argv = ["keras-roots-reproduce", "--all", "--output_dir=new/results", "--runs=7"]
try:
    reproduce.run()
except SystemExit as end:
    assert end.code is None, end.code
assert steps == [
    (list(reports.tables()), "new/results/counts.csv"),
    ("cifar10", None),
    ("table2", 7), ("figure5", 7), ("figure6", 7), ("table1", 7),
], steps
"""
    )
    assert (tmp_path / "new" / "results").is_dir()
