"""`results.json` of release 0.1 is read and added to, its tasks count as finished, and odd names come out right."""

import html
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from musicssl.commands.probe import main
from musicssl.errors import UserError
from musicssl.probing.encoders.features import ExtractionSettings
from musicssl.probing.protocol import ProbeSettings, fingerprint
from musicssl.probing.results.report import show, write_report
from musicssl.probing.results.results import Results, load_results
from musicssl.probing.results.tables import score_table
from musicssl.probing.tasks import TASKS
from musicssl.probing.tasks.base import Example, TaskData
from musicssl.probing.tasks.custom import custom_tasks

# Written by release 0.1.0.
OLD = Path(__file__).parents[1] / "golden" / "probing_0.1"
KINDS = {
    "register": "multiclass", "tags": "multilabel", "height+width": "regression", "key": "key", "beats": "beat",
}  # fmt: skip


@pytest.fixture
def old_folder(tmp_path):
    shutil.copy(OLD / "results.json", tmp_path)
    return tmp_path


def test_results_of_release_0_1_are_read_rendered_and_added_to(old_folder, capsys):
    old = json.loads((OLD / "results.json").read_text())
    content = load_results(old_folder)
    assert "schema_version" not in old and content == {"schema_version": 1} | old
    show([old_folder], old_folder)
    assert f"{100 * old['tasks']['notes_key']['metrics']['key_score']['mean']:.1f}" in capsys.readouterr().out
    page = (old_folder / "report.html").read_text()
    assert all(f'alt="{name}"' in page for name in ("confusion matrix", "key errors", "beats"))
    results = Results(old_folder, "mfcc")
    assert results.finished("notes_key", old["tasks"]["notes_key"]["fingerprint"])
    results.write()
    written = json.loads((old_folder / "results.json").read_text())
    assert list(written)[0] == "schema_version" and written["tasks"] == old["tasks"]


def test_results_of_a_later_release_are_refused(old_folder):
    content = json.loads((old_folder / "results.json").read_text())
    (old_folder / "results.json").write_text(json.dumps({"schema_version": 2} | content))
    with pytest.raises(UserError, match="results.json has schema version 2, this release reads up to 1; update"):
        load_results(old_folder)


def test_fingerprints_are_those_of_release_0_1(tmp_path):
    """So what was probed before counts as finished."""
    rows = [
        f"{n}.wav,{('train', 'validation', 'test')[n % 3]},{('low', 'high')[n % 2]},a;{n},{n / 4},{n},{'CDEFGA'[n]} "
        f"minor,0.1 {n}.5" for n in range(6)
    ]  # fmt: skip
    folder = tmp_path / "table"
    folder.mkdir()
    (folder / "metadata.csv").write_text(
        "\n".join(["file_name,split,register,tags,height,width,key,beats", *rows]) + "\n"
    )
    tasks = custom_tasks(folder, list(KINDS), list(KINDS.values()))
    for task in TASKS.values():
        label = 0 if task.kind in ("multiclass", "key") else (0,)
        tasks.append((task, TaskData([Example("clip", "clip.wav", label, "train", "clip")])))
    settings = ProbeSettings(ExtractionSettings(Path("store")))
    found = {}
    for task, data in tasks:
        encoder, rule = SimpleNamespace(fingerprint="encoder"), settings.window_rule(task)
        extractor = SimpleNamespace(encoder=encoder, rule=rule, settings=settings.extraction)
        found[task.name] = fingerprint(task, data, extractor, settings)
    assert found == json.loads((OLD / "fingerprints.json").read_text())


def test_a_name_with_marks_of_tables_comes_out_right(old_folder):
    name = "runs/a|b <c> & 'd'"
    content = load_results(old_folder) | {"model": name, "errors": {"x|y": "a < b"}}
    table = score_table([content])
    assert table.header[2] == name
    assert name.replace("|", "\\|") in table.markdown().splitlines()[0]
    assert {line.replace("\\|", "").count("|") for line in table.markdown().splitlines()} == {5}
    write_report([content], old_folder / "report.html")
    page = (old_folder / "report.html").read_text()
    assert f"<th>{html.escape(name)}</th>" in page and "x|y: a &lt; b" in page and "<c>" not in page
    assert page.count("<th>") == 4


def test_a_comparison_writes_its_report_where_it_is_told(old_folder, tmp_path, capsys):
    assert main(["--compare", str(old_folder), "--output_dir", str(tmp_path / "elsewhere")]) == 0
    assert (tmp_path / "elsewhere" / "report.html").is_file()
    assert str(tmp_path / "elsewhere" / "report.html") in capsys.readouterr().out
