import csv

import numpy as np
import pytest

from keras_roots.analysis.curves import plot_curves, plot_tradeoff


def _rows(*accuracies, first=1):
    return [
        {"epoch": first + index, "loss": 2.5 - index, "val_accuracy": accuracy}
        for index, accuracy in enumerate(accuracies)
    ]


def test_the_error_by_epoch_of_rows_and_of_a_log(drawn, tmp_path):
    log = tmp_path / "log.csv"
    with open(log, "w", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", "loss", "val_accuracy"])
        writer.writeheader()
        writer.writerows(_rows(0.5, "", 0.75))
    runs = {"rows": _rows(0.25, 0.5, first=10), "log": log, "text": str(log)}
    plot_curves(runs, tmp_path / "curves.png")
    axes = drawn[0].axes[0]
    want = [[(10, 75), (11, 50)], [(1, 50), (3, 25)], [(1, 50), (3, 25)]]
    for line, points in zip(axes.lines, want, strict=True):
        np.testing.assert_allclose(line.get_xydata(), points)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["rows (last: 50%)", "log (last: 25%)", "text (last: 25%)"]
    assert axes.get_ylabel() == "validation error (%)"


@pytest.mark.parametrize(
    "metric,values,label",
    [
        ("val_accuracy", [25, 50], "validation accuracy (%)"),
        ("loss", [2.5, 1.5], "loss"),
    ],
)
def test_other_metrics(drawn, tmp_path, metric, values, label):
    plot_curves({"run": _rows(0.25, 0.5)}, tmp_path / "curves.png", metric)
    axes = drawn[0].axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), values)
    assert axes.get_ylabel() == label


def _sweep():
    rows = [
        {"norm": norm, "strength": strength, "error": error, "mean_rank_ratio": ratio}
        for norm, strength, error, ratio in [
            ("l2", 0.01, 0.2, 0.4),
            ("l2", 0.001, 0.18, 0.6),
            ("l1", 0.002, 0.19, 0.5),
            ("l2", -0.001, 0.17, 0.8),
            ("", 0, 0.175, 0.7),
            ("l1", 0, 0.176, 0.71),
        ]
    ]
    return [{name: str(value) for name, value in row.items()} for row in rows]


def test_the_tradeoff_has_a_line_per_norm_in_order_of_strength(drawn, tmp_path):
    plot_tradeoff(_sweep(), tmp_path / "tradeoff.png")
    axes = drawn[0].axes[0]
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(
        lines["l2-norm force, with its strength"], [(80, 17), (60, 18), (40, 20)]
    )
    np.testing.assert_allclose(lines["l1-norm force, with its strength"], [(50, 19)])
    stars = [line.get_xydata() for line in axes.lines if line.get_marker() == "*"]
    np.testing.assert_allclose(np.concatenate(stars), [(70, 17.5), (71, 17.6)])
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == [
        "l2-norm force, with its strength",
        "l1-norm force, with its strength",
        "no force",
    ]
    assert {text.get_text() for text in axes.texts} == {
        "-0.001",
        "0.001",
        "0.01",
        "0.002",
    }


def test_bad_arguments_are_refused(tmp_path):
    path = tmp_path / "picture.png"
    for runs in ({}, {"empty": []}):
        with pytest.raises(ValueError, match="`(runs|metric)` must"):
            plot_curves(runs, path)
    with pytest.raises(ValueError, match="epoch, loss.*metric='top5'"):
        plot_curves({"run": _rows(0.5)}, path, "top5")
    with pytest.raises(FileNotFoundError):
        plot_curves({"run": tmp_path / "none.csv"}, path)
    with pytest.raises(ValueError, match="`rows`"):
        plot_tradeoff([], path)
    for broken in ({"norm": "l2"}, {**_sweep()[0], "error": ""}, "row"):
        with pytest.raises(ValueError, match="`rows` must have norm"):
            plot_tradeoff([broken], path)
    assert not path.exists()
