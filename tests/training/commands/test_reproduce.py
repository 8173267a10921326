"""The command that prints the papers' tables."""

import pytest


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
    assert "--results must be of table2, figure5, figure6, table1" in printed
    assert printed.endswith("Received: table9\n")
