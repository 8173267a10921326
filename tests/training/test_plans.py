"""Plans, written and read row by row."""

import dataclasses
import types

from keras_roots.convolutions import LayerPlan
from keras_roots.training import plans


@dataclasses.dataclass
class Layer:
    name: str
    rank: int | None = None


def test_plans_are_written_layer_by_layer(tmp_path):
    plan = types.SimpleNamespace(layers=[Layer("conv1", 8), Layer("conv2")])
    plans.write(tmp_path, plan)
    assert (tmp_path / "plan.csv").read_text() == "name,rank\nconv1,8\nconv2,\n"


def test_plans_are_read_as_they_were_written(tmp_path):
    assert plans.read(tmp_path) == []
    counts = {"macs": 80, "macs_after": 40, "params": 8, "params_after": 4}
    rows = [
        LayerPlan(name="a/b", way="rank", groups=1, rank=3, error=0.125, **counts),
        LayerPlan(name="b", way="rank", groups=1, rank=3, method="svd", **counts),
        LayerPlan(name="c", way="groups", groups=4, ms=0.5, ms_after=0.25, **counts),
        LayerPlan(name="d", way=None, groups=1, reason="it is small", **counts),
    ]
    plans.write(tmp_path, types.SimpleNamespace(layers=rows))
    assert plans.read(tmp_path) == rows
