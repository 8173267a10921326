"""Table 1 of Coordinating Filters, from released networks on few images."""

import helpers

from keras_roots import create_model
from keras_roots.training import evaluation
from keras_roots.training.evaluation import zoo
from keras_roots.training.reports import coordinating_filters


def test_table_1(monkeypatch, conditions, entry, measured):
    monkeypatch.setattr(coordinating_filters, "MODELS", ("root_convnet",))
    names = ("cifar10", "cifar10-force-l2", "cifar10-force-l2-decomposed")
    wrong = dict(zip(names, (range(20), range(30), range(40)), strict=True))
    entries = [
        entry(f"{model}:1", name, command="keras-roots-compress --force_strength=3e-4")
        for model in coordinating_filters.MODELS
        for name in names[::-1]
    ]
    macs = {names[-1]: 75}
    entries = [e | {"macs": macs.get(e["weights"], 100)} for e in entries]
    entries = [
        e | ({"command": "keras-roots-train"} if e["weights"] == "cifar10" else {})
        for e in entries
    ]
    models = {"root_convnet": create_model("root_convnet:1")}

    def measure(entries, conditions):
        return [
            measured(e, wrong[e["weights"]], e["macs"] / 100, models[e["model"]])
            for e in entries
        ]

    monkeypatch.setattr(zoo, "released_index", lambda: entries)
    monkeypatch.setattr(evaluation, "measure_released", measure)
    path, short, *pictures = coordinating_filters.table1(conditions)
    assert [picture.name for picture in pictures] == ["spectra-root_convnet.png"]
    rows = {(row["network"], row["force"]): row for row in helpers.read_rows(path)}
    assert len(rows) == 2
    plain, forced = (rows["root_convnet", force] for force in ("none", "l2"))
    assert (plain["error"], plain["paper_error"]) == ("0.1", "0.18")
    assert (plain["strength"], plain["decomposed_error"]) == ("", "")
    assert (forced["error"], forced["paper_error"]) == ("0.15", "0.179")
    assert float(forced["strength"]) == 3e-4
    assert (forced["decomposed_error"], forced["decomposed_macs_ratio"]) == (
        "0.2",
        "0.75",
    )
    assert forced["decomposed_int8_ratio"] == "0.75"
    assert forced["paper_mean_rank_ratio"] == "0.5417"
    assert len(plain["ranks"].split()) == 3
    lines = short.read_text().splitlines()
    assert lines[2].startswith("| `root_convnet` | none | 18.00% / 10.00% | 74.5% / ")
    assert lines[3].startswith("| `root_convnet` | l2, 0.0003 | 17.90% / 15.00% | ")
    assert lines[3].endswith("| 20.00% | 0.75 | 0.75 / 0.75 |")
