import pytest

from keras_roots.training.commands import check, flags


def test_the_table_is_written(tmp_path, monkeypatch, capsys):
    given = []

    def sweep(name, photographs, image_size, budget, progress):
        given.append((name, photographs.shape[1:], image_size, budget))
        if name == "examples.unet" and len(given) > 1:
            raise KeyboardInterrupt
        return [{"network": name, "step": "copy", "outcome": "works", "error": 0.0}]

    monkeypatch.setattr(check.reports, "sweep_network", sweep)
    asked = [
        "--networks=examples.unet",
        "--image_size=32",
        f"--output_dir={tmp_path}/new",
    ]
    check.main(flags.parse(check.run.classes, asked))
    assert given == [("examples.unet", (32, 32, 3), 32, 0.5)]
    assert "works" in (tmp_path / "new" / "networks.csv").read_text()
    assert "`examples.unet`" in (tmp_path / "new" / "networks.md").read_text()
    assert "`examples.unet`" in capsys.readouterr().out
    asked[0] = "--networks=examples.detector"
    check.main(flags.parse(check.run.classes, asked))
    table = (tmp_path / "new" / "networks.md").read_text()
    assert table.index("examples.unet") < table.index("examples.detector")
    check.main(flags.parse(check.run.classes, asked))
    assert (tmp_path / "new" / "networks.md").read_text() == table
    asked[0] = "--networks=examples.siamese,examples.unet"
    with pytest.raises(KeyboardInterrupt):  # those before are written
        check.main(flags.parse(check.run.classes, asked))
    assert "examples.siamese" in (tmp_path / "new" / "networks.md").read_text()


@pytest.mark.parametrize("missing", ["--networks=a", "--output_dir=b"])
def test_networks_and_folder_are_required(missing):
    given = flags.parse(check.run.classes, [missing])
    with pytest.raises(ValueError, match="are required"):
        check.main(given)
