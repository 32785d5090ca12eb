"""The `musicssl` command: light to start, one line per user error."""

import importlib
import subprocess
import sys

import pytest

from musicssl.cli import COMMANDS, main


def test_help_lists_every_command_without_loading_torch():
    code = "import sys, musicssl.cli as c\ntry: c.main(['--help'])\nfinally: assert 'torch' not in sys.modules"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert all(f"{name} " in finished.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_module_with_help_flags_and_run(name, capsys):
    module_name, help_text = COMMANDS[name]
    module = importlib.import_module(module_name)
    assert callable(module.run) and help_text
    with pytest.raises(SystemExit) as leaving:
        main([name, "--help"])
    assert leaving.value.code == 0
    assert help_text.split()[0] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["push", "nowhere", "no-owner"], "not OWNER/NAME"),
        (["push", "nowhere", "tester/name"], "nowhere holds no config.json"),
        (["card", "nowhere"], "nowhere holds no config.json"),
        (["convert", "nowhere.pt", "out"], "nowhere.pt"),
        (["export", "nowhere", "out.txt"], "something.onnx"),
        (["similar", "nowhere.wav", ".", "--model", "x"], "nowhere.wav: no such file"),
    ],
)
def test_a_user_error_is_one_line_and_status_2(command, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_an_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["publish"])
    assert leaving.value.code == 2 and "invalid choice" in capsys.readouterr().err
