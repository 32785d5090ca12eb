"""`musicssl recipes`: the list, the copies, the paths."""

from pathlib import Path

import pytest
import yaml

from musicssl.commands.main import main
from musicssl.pretraining.config.recipes import load_recipe
from musicssl.recipes import find_recipe, launch_files, recipe_names, summary


def test_the_list_has_every_recipe_and_launch_file_with_its_first_comment(capsys):
    assert main(["recipes"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    paths = [*map(find_recipe, recipe_names()), *launch_files()]
    assert all(f"{path.stem} {summary(path)}" in lines for path in paths)
    assert len(lines) == len(paths) + 3
    assert all(summary(path) for path in paths)


@pytest.mark.parametrize("name", ["musichubert_tiny", "cpu"])
def test_a_path_is_printed_by_name(name, capsys):
    assert main(["recipes", "--path", name]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.is_file() and path.is_absolute() and yaml.safe_load(path.read_text())


def test_copies_are_the_same_recipes(tmp_path, capsys):
    assert main(["recipes", "--copy", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(recipe_names()) + len(launch_files())
    assert sorted(path.stem for path in tmp_path.glob("*.yaml")) == recipe_names()
    assert [path.name for path in launch_files()] == sorted(path.name for path in (tmp_path / "accelerate").iterdir())
    for name in recipe_names():
        assert load_recipe(tmp_path / f"{name}.yaml") == load_recipe(name)


def test_only_what_is_named_is_copied_and_nothing_is_overwritten(tmp_path, capsys):
    assert main(["recipes", "--copy", str(tmp_path), "musichubert_tiny", "cpu"]) == 0
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["accelerate/cpu.yaml", "musichubert_tiny.yaml"]
    (tmp_path / "musichubert_tiny.yaml").write_text("mine")
    assert main(["recipes", "--copy", str(tmp_path), "music2vec_tiny", "musichubert_tiny"]) == 2
    assert "musichubert_tiny.yaml: already there" in capsys.readouterr().err
    assert (tmp_path / "musichubert_tiny.yaml").read_text() == "mine"
    assert not (tmp_path / "music2vec_tiny.yaml").exists()


@pytest.mark.parametrize("flags", [["--path", "musichubert_teny"], ["--copy", "out", "musichubert_teny"]])
def test_an_unknown_name_is_answered_with_the_known_ones(flags, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["recipes", *flags]) == 2
    error = capsys.readouterr().err
    assert "musichubert_teny" in error and "musichubert_tiny" in error and error.count("\n") == 1
    assert not any(tmp_path.iterdir())
