"""What documents say is what the files of results say."""

import importlib
import re
import shlex
from pathlib import Path

import helpers
import keras
import numpy as np
import pytest

import keras_roots
import keras_roots.training
from keras_roots.models import NetworkName, released
from keras_roots.training.commands import flags

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "zoo" / "results"
DOCUMENTS = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("zoo/**/*.md")]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text())
    files = [link for link in links if not link.startswith("http")]
    missing = [link for link in files if not (path.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize(
    ("document", "table"),
    [
        ("README.md", "deep-roots/table2.md"),
        ("docs/low-rank.md", "coordinating-filters/table1.md"),
        ("docs/experiments.md", "experiments/distillation.md"),
        ("docs/experiments.md", "experiments/frontier.md"),
        ("docs/experiments.md", "experiments/pointwise.md"),
        ("docs/experiments.md", "experiments/rootify.md"),
        ("docs/networks.md", "networks.md"),
        ("docs/your-network.md", "optimize/root_resnet20-qat.md"),
        ("docs/your-network.md", "optimize/root_resnet20-prune.md"),
        ("docs/your-network.md", "optimize/root_resnet20-cluster.md"),
    ],
)
def test_tables_are_the_measured_ones(document, table):
    lines = (RESULTS / table).read_text().splitlines()
    assert len(lines) > 3
    text = (ROOT / document).read_text()
    missing = [line for line in lines if line not in text]
    assert not missing


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name
)
def test_every_document_is_linked(path):
    assert f"(docs/{path.name})" in README


def _detector():
    """A network of two outputs, and images with answers for them."""
    image = keras.Input((12, 8, 3), name="image")
    x = image
    for index in range(2):
        x = helpers.same_conv(16, 3, f"conv{index}", activation="relu")(x)
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    scores = helpers.same_conv(1, 3, "scores", activation="sigmoid")(x)
    outputs = {"boxes": keras.layers.Dense(4, name="boxes")(pooled), "scores": scores}
    model = helpers.assign_random(keras.Model(image, outputs, name="detector"))
    images = helpers.random_images(model, 40)
    found = model.predict(images, verbose=0)
    return {
        "detector": model,
        "model": model,
        "images": images,
        "boxes": found["boxes"],
        "scores": np.round(found["scores"]),
    }


def test_training_of_a_cheaper_network_is_as_documented():
    text = (ROOT / "docs" / "your-network.md").read_text()
    section = text.partition("## Train the cheaper network")[2].partition("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        known = _detector() | {"keras": keras, "keras_roots": keras_roots}
        exec(block, known)
        small, whole = (
            keras_roots.profile(model).macs
            for model in (known["small"].model, known["detector"])
        )
        assert small <= 0.5 * whole


def _commands():
    """Every command of a shell block, with the document that it is in."""
    for path in DOCUMENTS:
        for block in re.findall(r"```sh\n(.*?)```", path.read_text(), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                starts = [
                    i for i, w in enumerate(words) if w.startswith("keras-roots-")
                ]
                for start in starts:
                    yield pytest.param(words[start:], id=f"{path.name}-{line[:50]}")


@pytest.mark.parametrize("words", _commands())
def test_commands_have_the_flags_that_documents_give_them(words):
    name, *arguments = words
    name = name.removeprefix("keras-roots-").replace("-", "_")
    page = importlib.import_module(f"keras_roots.training.commands.{name}")
    given = flags.parse(page.run.classes, arguments)
    for options in page.run.classes:
        given[options]


@pytest.mark.parametrize("root", [1, 8])
def test_the_first_table_has_the_released_accuracy(root):
    top1 = released.entry(NetworkName("root_nin", root), "cifar10")["top1"]
    shown = f"{100 * top1['keras']:.2f} / {100 * top1['litert_int8']:.2f} %"
    (line,) = [
        line
        for line in README.splitlines()
        if line.startswith("| Network in Network") and ("dense" in line) == (root == 1)
    ]
    assert shown in line


def test_every_card_is_linked():
    for entry in released.index():
        assert f"zoo/cards/{entry['model']}.md" in README
