"""The study from the command line on music made here: two updates a run, everything cached, a document filled in."""

import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from musicssl.audio.decode import audio_info, load_audio
from musicssl.audio.walk import audio_files
from musicssl.audio.write import write_audio
from musicssl.demo.collection import CollectionSettings, write_notes, write_pretrain
from musicssl.errors import UserError, run_as_command
from musicssl.files import write_json
from musicssl.pretraining.config.recipes import load_recipe
from study import plan
from study.claims import Answer, answers
from study.figures import training_curve
from study.front_end import between_clips, front_ends
from study.index import read_index, write_index
from study.material import total_seconds, write_excerpt, write_speech
from study.measurements import Measured, difference, load_study
from study.plan import (
    ARMS,
    BASES,
    OWN_MATERIAL,
    RECIPES,
    check_arms,
    expected_minutes,
    make_plan,
    recipe_path,
    scaled,
    share_of_budget,
)
from study.report import FIGURES, TABLES, fill
from study.report import main as report
from study.run import default_arms
from study.run import main as run
from study.tasks import Tasks

# What the study's ablations may change: one thing, which for a pair of codebooks takes two keys.
ONE_THING = ({"model_config"}, {"label_features", "num_clusters"})
TINY = """
model: musichubert
model_config:
  hidden_size: 16
  num_hidden_layers: 2
  num_attention_heads: 2
  intermediate_size: 24
  num_conv_pos_embedding_groups: 2
  num_conv_pos_embeddings: 8
  projection_dim: 8
  conv_dim: [8, 8, 8, 8, 8, 8, 8]
label_features: [FEATURE]
num_clusters: [4]
crop_seconds: 1
min_seconds: 1
audio_seconds_per_update: 2
mask_probability: 0.5
max_updates: 4
warmup_updates: 1
min_label_perplexity: 1
"""


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    settings = CollectionSettings(clips=2, clip_seconds=3.0, notes=16)
    write_pretrain(folder / "pretrain", settings)
    write_notes(folder / "probe" / "notes", settings)
    return folder


@pytest.fixture
def tiny_recipes(tmp_path, monkeypatch):
    """The study with a two-layer network instead of its own."""
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "musichubert_small.yaml").write_text(TINY.replace("FEATURE", "cqt84"))
    (recipes / "musichubert.yaml").write_text(TINY.replace("FEATURE", "mfcc39"))
    (recipes / "musichubert_k400.yaml").write_text("extends: musichubert.yaml\nnum_clusters: [6]\n")
    monkeypatch.setattr(plan, "RECIPES", recipes)


def test_study_runs_is_cached_and_fills_its_document(music, tiny_recipes, tmp_path, project_root, capsys):
    arms = ["mfcc", "chroma", "random:musichubert", "musichubert", "musichubert_k400", "musichubert_small"]
    results = tmp_path / "results"
    command = [
        "--train_data", str(music / "pretrain"), "--probe_data", str(music / "probe"), "--output_dir", str(results),
        "--arms", *arms, "--tasks", "notes/instrument", "notes/pitch_class", "--set_size", "0",
        "--head_seeds", "2", "--head_epochs", "2", "--head_learning_rates", "5e-3",
        "--probe_clips", "12", "--jobs", "1",
    ]  # fmt: skip
    assert run_as_command(run, command) == 0
    printed = capsys.readouterr().out
    assert printed.rstrip().rpartition("\n\n")[0].count("done, ") >= len(arms) and "failed" not in printed
    finished = {path: path.stat().st_mtime_ns for path in results.glob("*/model.safetensors")}
    assert len(finished) == 3

    for model in finished:
        assert "notes pitch class" in (model.parent / "README.md").read_text()

    study = load_study(results)
    assert list(study.arms) == arms and set(study.missing) == set(ARMS) - set(arms)
    # Intermediate checkpoints of the small recipe and of the vanilla one are probed, those of the other are not.
    assert set(study.curves) == {"musichubert", "musichubert_small"}
    hours = [point.hours for point in study.curves["musichubert"]]
    assert len(hours) == 4 and hours == sorted(hours) and hours[-1] == study.arms["musichubert"].hours
    sizes = study.arms["mfcc"].results[0]["tasks"]["notes_instrument"]["split_sizes"]
    assert sizes == {"train": 12, "validation": 5, "test": 5}
    gap, (low, high) = difference(study.arms["mfcc"], study.arms["mfcc"], study.tasks)
    assert gap == low == high == 0
    claimed = {(answer.first, answer.second) for answer in answers(study)}
    assert claimed >= {
        ("musichubert", "random:musichubert"), ("random:musichubert", "musichubert"), ("musichubert_small", "mfcc"),
    }  # fmt: skip

    documents = [tmp_path / name for name in ("study.md", "study_tables.md")]
    for document in documents:
        shutil.copy(project_root / "docs" / document.name, document)
    fill_in = ["--results", str(results), "--documents", *map(str, documents)]
    assert run_as_command(report, fill_in) == 0
    main, appendix = (document.read_text() for document in documents)
    text = main + appendix
    score = study.arms["mfcc"].average(study.tasks)
    own_front_ends = [each for each in front_ends(study) if each.arm == "musichubert"]
    assert len(front_ends(study)) == 4 and 0 < own_front_ends[0].between_clips < 1
    assert re.search(rf"\| musichubert, seed 1 +\| {100 * own_front_ends[0].between_clips:.1f} ", text)
    assert f"| {100 * score:.1f} ±" in text and "| musichubert_k400 | num_clusters: [6]" in text
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {
        "study_averages", "study_ablations", "study_training", "study_hours", "study_layers", "study_front_ends",
        "study_answers",
    }  # fmt: skip
    # The main claims are in the study, those about ablations in its appendix; every block was filled.
    assert re.search(r"\| the small recipe beats acoustic features +\| musichubert_small +\| mfcc ", main)
    assert re.search(r"\| training beats random weights +\| musichubert_k400 +\| random:musichubert ", appendix)
    assert len(re.findall(r"\| (?:training|the small|pitch|MFCC)", text)) == len(answers(study))
    names = re.findall(r"<!-- begin (\w+) -->", text)
    assert sorted(names) == sorted([*TABLES, *(f"{name}_figure" for name in FIGURES)])
    report(fill_in)
    assert [document.read_text() for document in documents] == [main, appendix]

    # The second call trains nothing, and loses nothing; nor does one for some of the arms.
    assert run_as_command(run, command) == 0
    some = command.index("--arms") + 2
    assert run_as_command(run, command[:some] + command[command.index("--tasks") :]) == 0
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert list(load_study(results).arms) == arms
    assert load_study(results).arms["musichubert"].average(study.tasks) == study.arms["musichubert"].average(
        study.tasks
    )
    # What was probed by other heads does not stand in the same table.
    tasks = Tasks(music / "probe", ("notes/pitch_class",), 12)
    trials = make_plan(["mfcc"], 1, [str(music / "pretrain")], results)
    write_index(trials, tasks, {"head_epochs": 3}, results)
    assert [entry["arm"] for entry in read_index(results)["trials"]] == ["mfcc"]


def test_a_list_of_version_0_1_is_read_with_today_s_names(tmp_path):
    entry = {"seed": 1, "folder": "run", "updates": 4, "audio_seconds_per_update": 2}
    trials = [{"arm": "musichubert", **entry}, {"arm": "an arm of before", **entry}]
    groups = {"made sets": ["emomusic"]}
    write_json(tmp_path / "study.json", {"tasks": ["emomusic"], "groups": groups, "trials": trials})
    index = read_index(tmp_path)
    assert index["groups"] == {"synthetic sets": ["emomusic"]} and index["trials"] == trials[:1]


def test_trials_in_processes_of_their_own_give_the_same_scores(music, tmp_path, capsys):
    command = [
        "--train_data", str(music / "pretrain"), "--probe_data", str(music / "probe"), "--arms", "mfcc", "chroma",
        "--tasks", "notes/pitch_class", "--set_size", "0", "--head_seeds", "1", "--head_epochs", "2",
    ]  # fmt: skip
    scores = []
    for jobs in ("1", "2"):
        results = tmp_path / jobs
        assert run_as_command(run, [*command, "--jobs", jobs, "--output_dir", str(results)]) == 0
        study = load_study(results)
        scores.append([measured.average(study.tasks) for measured in study.arms.values()])
    assert scores[0] == scores[1] and "failed" not in capsys.readouterr().out
    assert {path.stem for path in (tmp_path / "2" / "logs").iterdir()} == {"mfcc, seed 1", "chroma, seed 1"}


def test_a_front_end_of_levels_tells_clips_apart_and_one_of_noise_does_not():
    def encoder(convolutions):
        model = SimpleNamespace(feature_extractor=convolutions, feature_projection=lambda frames: frames)
        return SimpleNamespace(model=model, normalize=lambda clip: clip)

    levels = torch.linspace(0.1, 1, 24)[:, None].expand(-1, 3200) * torch.randn(24, 3200).sign()
    of_level = encoder(lambda part: part.abs().reshape(len(part), 10, 320).transpose(1, 2))
    of_wave = encoder(lambda part: part.reshape(len(part), 10, 320).transpose(1, 2))
    assert between_clips(of_level, levels) == pytest.approx(1.0)
    assert between_clips(of_wave, levels) < 0.15  # a mean of ten independent frames keeps a tenth


@pytest.mark.parametrize("arm,base", [(arm, base) for base, arms in BASES.items() for arm in arms if arm != base])
def test_ablation_changes_one_thing(arm, base):
    own, base = load_recipe(recipe_path(arm)), load_recipe(recipe_path(base))
    changed = {key for key in own if own[key] != base.get(key)} - {"recipe_name"}
    assert len(changed) == (arm not in OWN_MATERIAL) or changed in ONE_THING
    assert own.keys() >= base.keys()


def test_speech_and_its_excerpt_of_music_are_as_long(tmp_path):
    speech = np.sin(np.arange(20_000) / 9).astype(np.float32)
    for number in range(20):
        write_audio(_folder(tmp_path / "probe/speaker/train") / f"word-{number:02d}.flac", speech, 16_000)
    for number in range(4):
        music = np.sin(np.arange(25 * 44_100) / (9 + number)).astype(np.float32)
        write_audio(_folder(tmp_path / "music") / f"piece-{number}.wav", music, 44_100)
    write_audio(tmp_path / "music" / "piece-0-short.wav", speech, 16_000)
    spoken = write_speech(tmp_path / "probe", tmp_path / "speech")
    assert total_seconds(spoken) == pytest.approx(25.0)
    music = write_excerpt([str(tmp_path / "music")], total_seconds(spoken), tmp_path / "excerpt")
    assert [round(audio_info(path).seconds) for path in audio_files(music)] == [20, 5]
    # The second track comes from the third piece: files are spread over all; the short file is left out.
    heard = load_audio(audio_files(music)[1])
    assert np.argmax(np.abs(np.fft.rfft(heard))) * 16_000 / len(heard) == pytest.approx(44_100 / 11 / 2 / np.pi, abs=1)
    assert default_arms(False, tmp_path / "probe", [str(tmp_path / "music")]) == ARMS
    with pytest.raises(UserError, match="--train_data has 4 files of at least 20 s, but 8 are needed"):
        write_excerpt([str(tmp_path / "music")], 150, tmp_path / "more")
    with pytest.raises(UserError, match="no folder speaker/train in "):
        write_speech(tmp_path / "music", tmp_path / "none")


@pytest.mark.parametrize("music", ["hf://datasets/some/music", "short"])
def test_speech_and_its_excerpt_are_left_out_or_refused_before_anything_is_made(music, tmp_path, capsys):
    probe, short = tmp_path / "probe", tmp_path / "short"
    for folder in (probe / "speaker/train", short):
        write_audio(_folder(folder) / "clip.flac", np.ones(16_000, np.float32), 16_000)
    train_data = [str(short) if music == "short" else music]
    assert set(ARMS) - set(default_arms(False, probe, train_data)) == set(OWN_MATERIAL)
    assert "left out: musichubert_speech, musichubert_excerpt (" in capsys.readouterr().out
    output = tmp_path / "results"
    flags = ["--probe_data", str(probe), "--output_dir", str(output), "--arms", "musichubert_excerpt"]
    assert run_as_command(run, ["--train_data", *train_data, *flags]) == 2
    assert "--train_data has 0 files of at least 20 s, but 1 are needed" in capsys.readouterr().err
    assert not output.exists()


def _folder(path):
    path.mkdir(parents=True, exist_ok=True)
    return path


def test_plan_fits_the_budget_and_names_runs_by_what_they_depend_on(music, tmp_path):
    arguments = (2, [str(music / "pretrain")], tmp_path)
    shares = [share_of_budget(ARMS, 2, minutes, 0.0, 1.0, jobs=1, curves=True) for minutes in (600, 1200)]
    small, large = (make_plan(ARMS, *arguments, share) for share in shares)
    assert [trial.folder for trial in make_plan(ARMS, *arguments, shares[0])] == [t.folder for t in small]
    folders = {trial.folder for trial in small}
    assert len(folders) == len(small) == 4 + 2 * (len(ARMS) - 4)  # acoustic features have no seed
    assert not {trial.folder for trial in large if trial.trains} & folders
    updates = {trial.arm: trial.config.optimisation.max_updates for trial in small if trial.trains}
    assert updates["music2vec_updates4k"] == pytest.approx(2 * updates["music2vec"], abs=1)
    heard = [
        t.config.optimisation.max_updates * t.config.optimisation.audio_seconds_per_update for t in small if t.trains
    ]
    probing = plan.number_of_probes(ARMS, 2, curves=True)
    assert sum(heard) / plan.AUDIO_SECONDS_PER_MINUTE == pytest.approx(600 - probing, rel=0.01)
    assert expected_minutes(small, 1.0, jobs=1, curves=True) == pytest.approx(600, rel=0.01)
    assert share_of_budget(ARMS, 2, 302, 2.0, 1.0, jobs=2, curves=True) == pytest.approx(shares[0])
    as_the_recipes = {t.arm: t.config.optimisation.max_updates for t in make_plan(ARMS, *arguments) if t.trains}
    assert as_the_recipes["musichubert"] == 2000 and min(as_the_recipes.values()) >= 2000
    iterations = [trial for trial in small if trial.arm == "musichubert_iter2"][0].config.labels.iterations
    assert sum(each["updates"] for each in iterations) == pytest.approx(updates["musichubert"], abs=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "track.flac").write_bytes(b"other music")
    other = make_plan(["musichubert"], 2, [str(tmp_path / "other")], tmp_path)
    assert other[0].folder not in {trial.folder for trial in make_plan(["musichubert"], *arguments)}


def test_scaling_keeps_proportions(music, tmp_path):
    trial = make_plan(["music2vec"], 1, [str(music / "pretrain")], tmp_path)[0]
    half = scaled(trial.config, 0.5)
    assert half.optimisation.max_updates == pytest.approx(trial.config.optimisation.max_updates / 2, abs=1)
    assert half.optimisation.learning_rate == trial.config.optimisation.learning_rate
    steps = [each.model.model_config["ema_anneal_end_step"] for each in (trial.config, half)]
    assert steps[1] == pytest.approx(steps[0] / 2, abs=1)


def test_curves_of_iterations_follow_one_another(tmp_path):
    for number, accuracies in (("1", [0.1, 0.2]), ("2", [0.3]), ("10", [0.4])):
        rows = [{"update": 4 * (place + 1), "accuracy/masked": value} for place, value in enumerate(accuracies)]
        folder = _folder(tmp_path / f"iteration-{number}")
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    updates, values = training_curve(tmp_path, "accuracy/masked")
    assert updates.tolist() == [4, 8, 12, 16] and values.tolist() == [0.1, 0.2, 0.3, 0.4]
    alone, _ = training_curve(tmp_path / "iteration-1", "accuracy/masked")
    assert alone.tolist() == [4, 8]


def test_interval_over_seeds_is_students(tmp_path):
    def measured(arm, averages):
        folders = [tmp_path / arm / str(seed) for seed in range(len(averages))]
        for folder, average in zip(folders, averages, strict=True):
            score = {"primary_metric": "accuracy", "metrics": {"accuracy": {"mean": average}}}
            write_json(folder / "results.json", {"tasks": {"pitch": score}})
        return Measured(arm, tuple(folders), tuple(range(len(folders))))

    trained, control = measured("trained", [0.5, 0.6, 0.7]), measured("random:trained", [0.5, 0.4])
    low, high = trained.over_seeds(["pitch"])
    # Student's t with two degrees of freedom reaches 4.303 standard errors.
    assert (low + high) / 2 == pytest.approx(0.6) and high - low == pytest.approx(2 * 4.3027 * 0.1 / 3**0.5, rel=1e-4)
    assert control.over_seeds(["pitch"]) is None and control.score("pitch") == pytest.approx(0.45)


@pytest.mark.parametrize(
    "gap,apart,apart_over_seeds,verdict",
    [
        ((0.01, 0.02), False, False, "holds"),
        ((0.01, 0.02), True, True, "holds, apart"),
        ((0.01, 0.02), False, True, "holds, apart over seeds"),
        ((-0.01, 0.02), False, True, "undecided"),
        ((-0.02, -0.01), True, True, "the opposite holds"),
    ],
)
def test_verdicts(gap, apart, apart_over_seeds, verdict):
    answer = Answer("training helps", "a", "b", ("pitch",), sum(gap) / 2, gap, apart, apart_over_seeds, groups={})
    assert answer.verdict == verdict


@pytest.mark.parametrize(
    "call,message",
    [
        (lambda: share_of_budget(ARMS, 1, 9.0, 1.0, 5.0, 1, False), "--budget_minutes 9"),
        (lambda: check_arms(["musicgpt"]), "--arms musicgpt: unknown arm; available: mfcc"),
        (lambda: load_study(RECIPES), "--results .*: no study.json in this folder; run python -m study.run"),
        (lambda: fill("<!-- begin weather -->\n<!-- end weather -->", {"scores": ""}), "'weather'"),
    ],
)
def test_mistakes_are_told(call, message):
    with pytest.raises(UserError, match=message):
        call()
