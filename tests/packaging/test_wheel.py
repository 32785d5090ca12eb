"""The wheel, installed outside the checkout: every command works from it, in an empty folder."""

import importlib.util
import os
import shutil
import site
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from small_runs import flags_of_small_run

PACKAGES = ("music2vec", "musichubert", "musicssl")
LAUNCH = ["-m", "accelerate.commands.launch", "--quiet", "--cpu", "--num_processes", "1", "-m", "musicssl"]
# Nothing of the checkout may reach the processes, and nothing may reach the Hub.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "HF_TOKEN")}
ENVIRONMENT |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def wheel(project_root, tmp_path_factory) -> Path:
    """The wheel, built from a copy of the sources: the checkout gets no build folder."""
    pytest.importorskip("setuptools", minversion="77")
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        shutil.copytree(project_root / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(project_root / name, source)
    build = ["wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", "dist", "."]
    subprocess.run([sys.executable, "-m", "pip", *build], cwd=source, env=ENVIRONMENT, check=True)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def run(wheel, tmp_path_factory) -> Callable[..., str]:
    """run(flags of python..., status=0): a process of a fresh environment, in an empty folder; gives its output."""
    environment, folder = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("empty")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = ["install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], env=ENVIRONMENT, check=True)
    # The dependencies are those of this environment. The .pth files there, such as that of an editable install, are
    # not read: only those of the new environment's own folder are.
    (installed,) = environment.rglob("musicssl/__init__.py")
    (installed.parents[1] / "dependencies.pth").write_text("\n".join(site.getsitepackages()))

    def run(*command: object, status: int = 0) -> str:
        finished = subprocess.run(
            [str(part) for part in (python, *command)],
            cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert finished.returncode == status, finished.stdout
        return finished.stdout

    run.folder = folder
    where = run("-c", f"import {', '.join(PACKAGES)}; print(*({'.__file__, '.join(PACKAGES)}.__file__))")
    assert all(path.startswith(str(environment)) for path in where.split()) and len(where.split()) == len(PACKAGES)
    return run


def test_the_wheel_holds_recipes_launch_files_templates_and_type_markers(wheel, project_root):
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {
        str(path.relative_to(project_root))
        for package in PACKAGES
        for path in (project_root / package).rglob("*")
        if path.suffix in (".py", ".yaml", ".md", ".html", ".typed")
    }
    assert inside == expected
    assert {f"{package}/py.typed" for package in PACKAGES} <= inside
    assert "musicssl/recipes/musichubert_tiny.yaml" in inside and "musicssl/recipes/accelerate/cpu.yaml" in inside


def test_help_recipes_and_functions(run, project_root):
    version = next(
        line for line in (project_root / "setup.cfg").read_text().splitlines() if line.startswith("version")
    )
    assert run("-m", "musicssl", "--version") == f"musicssl {version.split()[-1]}\n"
    assert "quickstart" in run("-m", "musicssl", "--help")
    assert "musichubert_tiny" in run("-m", "musicssl", "recipes")
    path = Path(run("-m", "musicssl", "recipes", "--path", "cpu").strip())
    assert path.is_file() and project_root not in path.parents
    run("-m", "musicssl", "recipes", "--copy", "mine", "musichubert_tiny")
    assert (run.folder / "mine" / "musichubert_tiny.yaml").is_file()
    run("-c", "from musicssl import extract, pretrain, probe; assert all(map(callable, (extract, pretrain, probe)))")


def test_music_is_made_scanned_prepared_and_drawn(run):
    musicssl = ("-m", "musicssl")
    sizes = ["--clips", 2, "--clip_seconds", 2, "--notes", 12, "--pieces", 3]
    run(*musicssl, "demo", "--output_dir", "demo", *sizes)
    assert "2: 2 readable" in run(*musicssl, "scan", "demo/pretrain", "--output", "scan.json")
    run(*musicssl, "prepare", "demo/pretrain", "--output_dir", "shards")
    assert (run.folder / "scan.json").is_file() and (run.folder / "shards" / "prepare.json").is_file()
    file = next((run.folder / "demo" / "pretrain").glob("*.flac"))
    run(*musicssl, "labels", "plot", file, "--output", "labels.png")
    assert (run.folder / "labels.png").stat().st_size > 5000


def test_a_model_is_trained_probed_used_and_published(run, tones):
    musicssl = ("-m", "musicssl")
    flags = flags_of_small_run("musichubert", tones, "run", "--max_updates", 2, "--warmup_updates", 1)
    run(*LAUNCH, "pretrain", *flags)
    model = run.folder / "run"
    assert (model / "model.safetensors").is_file() and (model / "training.png").is_file()

    run(*musicssl, "demo", "--output_dir", "labelled", "--clips", 1, "--clip_seconds", 1, "--notes", 12, "--pieces", 3)
    protocol = ["--seeds", 1, "--learning_rates", "1e-3", "--max_epochs", 1, "--bootstrap_resamples", 10]
    table = run(
        *musicssl, "probe", "--model", "run", "mfcc", "--custom_task", "labelled/probe/notes", "--label", "instrument",
        *protocol, "--output_dir", "probe",
    )  # fmt: skip
    assert "mfcc" in table and (run.folder / "probe" / "report.html").is_file()

    clip = next(tones.glob("*.wav"))
    run(*musicssl, "extract", clip, "--model", "run", "--output_dir", "features")
    assert (run.folder / "features" / f"{clip.name}.npz").is_file()
    run(*musicssl, "similar", clip, tones, "--model", "run", "--count", 2, "--cache", "cache", "--output", "page.html")
    assert (run.folder / "page.html").stat().st_size > 1000
    suffix = "onnx" if importlib.util.find_spec("onnxscript") else "pt2"
    assert "largest difference" in run(*musicssl, "export", "--model", "run", "--output", f"encoder.{suffix}")

    run(*musicssl, "convert", "--model", "run", "--to", "stock", "--output_dir", "stock")
    assert (run.folder / "stock" / "model.safetensors").is_file()
    run(*musicssl, "card", "--model", "run")
    assert "musichubert" in (model / "README.md").read_text()
    refused = run(*musicssl, "push", "--model", "run", "--hub_model_id", "tester/name", status=2)
    assert refused.splitlines()[-1].startswith("error: ") and "Traceback" not in refused


def test_the_quick_start_ends_with_its_table(run):
    """With two updates of each model; the music and the probe are the quick start's own."""
    printed = run("-m", "musicssl", "quickstart", "--max_updates", 2, "--output_dir", "quick")
    rows = [line for line in printed.splitlines() if line.startswith("| notes_")]
    assert {row.split()[1] for row in rows} == {"notes_instrument", "notes_pitch_class"}
    assert all((run.folder / "quick" / name / "model.safetensors").is_file() for name in ("music2vec", "musichubert"))
    assert (run.folder / "quick" / "probe" / "report.html").is_file()
