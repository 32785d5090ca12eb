"""The `musicssl` command: light to start, one vocabulary, one line per user error."""

import errno
import importlib
import os
import resource
import subprocess
import sys

import pytest
import soundfile

from musicssl.commands.main import COMMANDS, main
from musicssl.commands.renamed import FORMERLY_POSITIONAL, RENAMED_FLAGS
from musicssl.errors import UserError, run_as_command
from musicssl.extras import require


def test_help_lists_every_command_without_loading_torch():
    code = (
        "import sys, musicssl.commands.main as c\n"
        "try: c.main(['--help'])\n"
        "finally: assert not {'torch', 'numpy', 'importlib.metadata'} & set(sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert all(f"  {name} " in finished.stdout for name in COMMANDS)
    assert max(map(len, finished.stdout.splitlines())) <= 80


def test_help_takes_less_than_0_3_seconds_of_cpu_time():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "musicssl", "--help"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.3


def test_every_command_answers_help_and_a_wrong_flag_without_loading_torch():
    lines = [[name, flag] for name in COMMANDS for flag in ("--help", "--mask_spam")]
    lines += [["pretrain", "--mask_span", "0"], ["probe", "--model", "mfcc", "--tasks", "gtzan"]]
    code = (
        "import contextlib, io, sys, musicssl.commands.main as c\n"
        f"for line in {lines}:\n"
        "    try:\n"
        "        with contextlib.redirect_stdout(io.StringIO()): status = c.main(line)\n"
        "    except SystemExit as leaving: status = leaving.code\n"
        "    assert status == (0 if '--help' in line else 2), line\n"
        "    heavy = {'torch', 'transformers', 'datasets', 'faiss', 'matplotlib', 'accelerate'}\n"
        "    assert not heavy & set(sys.modules), line"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 0 and "Traceback" not in finished.stderr, finished.stderr


def test_importing_the_package_loads_no_torch():
    code = "import sys, musicssl; dir(musicssl); assert not {'torch', 'numpy', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_version_is_the_installed_one_or_says_that_it_is_unknown(monkeypatch, capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["--version"])
    assert leaving.value.code == 0 and capsys.readouterr().out.startswith("musicssl ")
    monkeypatch.setattr(sys, "path", [])
    import musicssl

    assert musicssl.__version__ == "0+unknown"
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        _ = musicssl.train


@pytest.mark.parametrize("name", ["extract", "pretrain", "probe"])
def test_the_package_gives_its_functions_when_they_are_used(name):
    import musicssl

    assert callable(getattr(musicssl, name)) and name in dir(musicssl)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_module_with_main_and_help(name, capsys):
    assert callable(importlib.import_module(f"musicssl.commands.{name}").main) and COMMANDS[name]
    with pytest.raises(SystemExit) as leaving:
        main([name, "--help"])
    assert leaving.value.code == 0
    assert capsys.readouterr().out.startswith("usage: ")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["push", "--model", "nowhere", "--hub_model_id", "no-owner"], "not OWNER/NAME"),
        (["push", "--model", "nowhere", "--hub_model_id", "tester/name"], "nowhere holds no config.json"),
        (["card", "--model", "nowhere"], "nowhere holds no config.json"),
        (["convert", "--model", "nowhere.pt", "--output_dir", "out"], "nowhere.pt"),
        (["convert", "--model", "x.pt", "--output", "out.pt"], "--to ours writes a folder: give --output_dir"),
        (["convert", "--model", "x", "--to", "fairseq", "--output_dir", "out"], "give --output NAME.pt"),
        (["export", "--model", "nowhere", "--output", "out.txt"], "something.onnx"),
        (["similar", "nowhere.wav", ".", "--model", "x"], "nowhere.wav: no such file"),
        (["quickstart", "--music", "nowhere"], "--music nowhere: no such folder"),
        (["demo"], "--output_dir"),
        (["scan", ".", "--outputs", "x"], "--outputs"),
    ],
)
def test_a_user_error_is_one_line_and_status_2(command, message, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_none")
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


@pytest.mark.parametrize("words", [["demo", "--output_dir"], ["prepare", "music", "--output_dir"]])
def test_an_output_that_cannot_be_written_is_one_line(words, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "music").mkdir()
    soundfile.write(tmp_path / "music" / "a.wav", [0.1, -0.1] * 24000, 16000)
    (tmp_path / "file.txt").touch()
    assert main([*words, "file.txt/out"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == "error: file.txt/out: cannot be written (not a directory); choose another folder"


@pytest.mark.parametrize(
    ("number", "path", "line"),
    [
        (errno.EACCES, "out/.a.json.partial", "out: cannot be written (permission denied)"),
        (errno.ENOSPC, "out/.part.partial/train/a.wav", "out: cannot be written (no space left on device)"),
        (errno.ENOSPC, None, "the output cannot be written (no space left on device)"),
    ],
)
def test_an_error_of_writing_names_no_hidden_file(number, path, line, capsys):
    def fail(_):
        raise OSError(number, "", path)

    assert run_as_command(fail) == 2
    assert capsys.readouterr().err == f"error: {line}; choose another folder\n"


def test_another_error_of_the_system_is_not_hidden(tmp_path):
    with pytest.raises(FileNotFoundError):
        run_as_command(lambda _: (tmp_path / "nothing").read_text())


@pytest.mark.parametrize(
    ("command", "old", "new"),
    [(name, old, new) for name, flags in RENAMED_FLAGS.items() for old, new in flags.items()],
)
def test_an_old_flag_is_answered_with_the_new_one(command, old, new, capsys):
    for words in ([old, "x"], [f"{old}=x"]):
        assert main([command, *words]) == 2
        assert capsys.readouterr().err == f"error: {old} is now {new}\n"


@pytest.mark.parametrize(("command", "flags"), FORMERLY_POSITIONAL.items())
def test_arguments_by_position_are_answered_with_the_flags(command, flags, capsys):
    assert main([command, "--private", "runs/mine", "other"]) == main([command, "runs/mine", "other"]) == 2
    errors = capsys.readouterr().err.splitlines(keepends=True)
    assert errors[0] == errors[1]
    error = errors[0]
    assert error.startswith("error: runs/mine: ") and f"musicssl {command} {flags}" in error
    assert error.count("\n") == 1


def test_push_asks_for_a_token_first(capsys, monkeypatch):
    monkeypatch.setattr("musicssl.publish.push.get_token", lambda: None)
    assert main(["push", "--model", "nowhere", "--hub_model_id", "tester/name"]) == 2
    assert capsys.readouterr().err == "error: no Hugging Face token: run `hf auth login` or set HF_TOKEN\n"


def test_an_unknown_command_is_refused(capsys):
    assert main(["zzz"]) == 2 and "zzz: no such command; available: quickstart" in capsys.readouterr().err
    assert main(["pretian"]) == 2
    assert capsys.readouterr().err == "error: pretian: no such command; did you mean pretrain?\n"


@pytest.mark.parametrize("launcher", [[], ["-m", "accelerate.commands.launch", "--quiet", "--cpu"]])
def test_the_package_runs_as_a_module_also_through_accelerate(launcher, tmp_path, project_root):
    command = [sys.executable, *launcher, "-m", "musicssl", "pretrain", "--config", "musichubert_tiny"]
    environment = os.environ | {"PYTHONPATH": str(project_root)}
    finished = subprocess.run(
        [*command, "--train_data", "nowhere", "--output_dir", "run"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert finished.returncode != 0 and "Traceback" not in finished.stderr
    errors = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "nowhere" in errors[0]


def test_a_missing_extra_is_one_line_with_the_install_that_helps():
    require("export", "ONNX export", "json")
    with pytest.raises(UserError) as refused:
        require("trackers", "--log_with tensorboard", "json", "no_such_package")
    expected = '--log_with tensorboard needs no_such_package: pip install "music2vec-musichubert[trackers]"'
    assert str(refused.value) == expected
