"""The small modules that everything else uses: whole files, tables, keys."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from musicssl.files import copy_whole, read_json, whole_file, write_json, write_text
from musicssl.keys import KEYS, parse_key
from musicssl.tables import Table


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "first")
    with pytest.raises(RuntimeError), whole_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "first" and list(path.parent.iterdir()) == [path]
    with whole_file(path, shared=True) as partial:
        assert partial.parent == path.parent and partial.name.startswith(".")
        partial.write_text("second")
    assert path.read_text() == "second" and list(path.parent.iterdir()) == [path]


def test_a_link_stays_a_link_and_a_pipe_is_written_to(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_text(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_text() == "text"
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor() as pool:
        received = pool.submit((tmp_path / "pipe").read_text)
        write_text(tmp_path / "pipe", "text")
        assert received.result() == "text" and not (tmp_path / "pipe").is_file()


def test_a_name_as_long_as_the_file_system_takes(tmp_path):
    path = tmp_path / ("ä" * 120 + ".json")
    for shared in (False, True):
        write_text(path, "text", shared=shared)
    assert path.read_text() == "text" and list(tmp_path.iterdir()) == [path]


def test_a_folder_replaces_a_folder(tmp_path):
    for name in ("old", "new"):
        with whole_file(tmp_path / "folder") as partial:
            partial.mkdir()
            (partial / name).touch()
    copy_whole(tmp_path / "folder", tmp_path / "copy")
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["new"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "folder"]


def test_json_is_read_back_and_holds_no_nan(tmp_path):
    write_json(tmp_path / "a.json", {"b": [1, "ä"]}, sort_keys=True)
    assert read_json(tmp_path / "a.json") == {"b": [1, "ä"]} and "ä" in (tmp_path / "a.json").read_text("utf-8")
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", float("nan"))
    assert read_json(tmp_path / "a.json") == {"b": [1, "ä"]}


def test_a_table_prints_as_text_markdown_and_html():
    table = Table(("task", "score"), [("a|b", 1), ("long name", 2.5)])
    assert table.text() == "task       score\na|b        1\nlong name  2.5"
    assert table.markdown().splitlines()[1:3] == ["|-----------|-------|", "| a\\|b      | 1     |"]
    assert table.markdown(aligned=False) == "| task | score |\n|---|---|\n| a\\|b | 1 |\n| long name | 2.5 |"
    assert "<td>&lt;</td>" in Table(("x",), [("<",)]).html()


def test_every_spelling_of_a_key_has_one_index():
    assert [parse_key(name) for name in KEYS] == list(range(24))
    assert parse_key("F# minor") == parse_key("Gbm") == parse_key("gb:min") and parse_key("A") == KEYS.index("A major")
    with pytest.raises(ValueError, match="'H major' is not a key"):
        parse_key("H major")
