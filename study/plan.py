"""What the study trains and probes, and how far each run goes within a budget of minutes."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from musicssl.audio.decode import AUDIO_EXTENSIONS
from musicssl.errors import UserError
from musicssl.pretraining.config.arguments import Arguments
from musicssl.pretraining.config.checks import validate
from musicssl.pretraining.config.parsing import parse_arguments
from musicssl.pretraining.config.recipes import arguments_to_recipe, parse_mapping
from musicssl.pretraining.config.resuming import MAY_CHANGE
from musicssl.probing.encoders.acoustic import ACOUSTIC_FEATURES
from musicssl.probing.encoders.huggingface import RANDOM_PREFIX
from musicssl.recipes import find_recipe

RECIPES = Path(__file__).resolve().parent / "recipes"
MUSIC2VEC = ("music2vec", *(f"music2vec_{change}" for change in (
    "prob50", "prob80", "span5", "span15", "target4", "crop2s", "updates4k", "masks4", "dropped",
)))  # fmt: skip
MUSICHUBERT = ("musichubert", "musichubert_mfcc60", "musichubert_k400", "musichubert_iter2")
MEL = "musichubert_mel"
REMEDIES = tuple(f"{MEL}_{target}" for target in ("chroma", "cqt", "logmel_chroma", "cqt_regression"))
SMALL = "musichubert_small"
SMALL_CHOICES = tuple(f"{SMALL}_{choice}" for choice in (
    "mfcc", "masked_only", "mel_only", "no_regression", "random_start", "updates6k",
))  # fmt: skip
# What else than --train_data an arm hears; both are as long.
SPEECH, EXCERPT = "musichubert_speech", "musichubert_excerpt"
OWN_MATERIAL = {SPEECH: "speech", EXCERPT: "excerpt"}
TRAINED = (*MUSIC2VEC, *MUSICHUBERT, MEL, *REMEDIES, SMALL, *SMALL_CHOICES, SPEECH, EXCERPT)
# Recipe -> the arms that change one thing of it.
BASES = {"music2vec": MUSIC2VEC, "musichubert": (*MUSICHUBERT, SPEECH, EXCERPT), MEL: REMEDIES, SMALL: SMALL_CHOICES}
# The same networks, never trained; arms that share an architecture share one.
CONTROLS = (*ACOUSTIC_FEATURES, *(RANDOM_PREFIX + name for name in ("music2vec", "musichubert", MEL, SMALL)))
ARMS = (*CONTROLS, *TRAINED)
QUICK_ARMS = (*CONTROLS, "music2vec", "musichubert", MEL, f"{MEL}_chroma", SMALL)
# Arms whose checkpoints are probed on the way, for the curve of score against hours of audio.
CURVES = ("musichubert", SMALL)
CHECKPOINTS = 4

# What one of two busy cores does with the study's models, about; it only decides how many updates fit in
# --budget_minutes.
AUDIO_SECONDS_PER_MINUTE = 2000


@dataclass(frozen=True)
class Trial:
    """One arm with one seed; `arguments` is None for hand-made features."""

    arm: str
    seed: int
    folder: Path
    arguments: Arguments | None = None

    @property
    def trains(self) -> bool:
        return self.arm in TRAINED

    @property
    def encoder(self) -> str:
        """What the probe loads."""
        if self.arguments is None:
            return self.arm
        return str(self.folder) if self.trains else f"{RANDOM_PREFIX}{self.folder}"


def recipe_path(arm: str) -> Path:
    """The recipe of a trained arm or of its random control."""
    name = arm.removeprefix(RANDOM_PREFIX)
    return find_recipe(name, RECIPES)


def check_arms(arms: Sequence[str]) -> None:
    """UserError for an arm that there is not."""
    for arm in arms:
        if arm not in ARMS:
            raise UserError(f"--arms {arm}: choose among {', '.join(ARMS)}")


def make_plan(
    arms: Sequence[str], seeds: int, train_data: Sequence[str], output_dir: Path, share: float = 1.0
) -> list[Trial]:
    """Every trial of the study, seed by seed, so that an unfinished study has all arms at fewer seeds.

    Args:
        share: by what the updates that the recipes name are multiplied.
    """
    trials = []
    for seed in range(1, seeds + 1):
        for arm in arms:
            if arm in ACOUSTIC_FEATURES:
                trials += [Trial(arm, seed, output_dir / arm)] if seed == 1 else []
                continue
            heard = [str(output_dir / OWN_MATERIAL[arm])] if arm in OWN_MATERIAL else train_data
            arguments = scaled(dataclasses.replace(_parse(arm, heard, output_dir), seed=seed), share)
            folder = output_dir / f"{arm.replace(':', '-')}-{fingerprint(arguments, data_identity(heard))}"
            trials.append(Trial(arm, seed, folder, dataclasses.replace(arguments, output_dir=str(folder))))
    return trials


def share_of_budget(
    arms: Sequence[str],
    seeds: int,
    budget_minutes: float,
    material_minutes: float,
    probe_minutes: float,
    jobs: int,
    curves: bool,
) -> float:
    """By what to multiply every recipe's updates, so that all trials together take `budget_minutes`, about.

    Args:
        material_minutes: what is made before the first trial takes so long, about.
        probe_minutes: what probing one model takes, about, with `jobs` at once.
        jobs: trials at once.
        curves: checkpoints on the way are probed too.

    Raises:
        UserError: the budget is too small to train anything.
    """
    recipes = [_parse(arm, ["-"], Path("-")) for arm in arms if arm in TRAINED]
    audio_seconds = seeds * sum(recipe.max_updates * recipe.audio_seconds_per_update for recipe in recipes)
    fixed_minutes = material_minutes + number_of_probes(arms, seeds, curves) * probe_minutes / jobs
    if budget_minutes <= fixed_minutes:
        raise UserError(
            f"--budget_minutes {budget_minutes:g}: making the sets and probing alone take {fixed_minutes:.0f} "
            "minutes; give more, or fewer --arms or --seeds"
        )
    return (budget_minutes - fixed_minutes) * jobs * AUDIO_SECONDS_PER_MINUTE / max(audio_seconds, 1)


def expected_minutes(trials: Sequence[Trial], probe_minutes: float, jobs: int, curves: bool) -> float:
    """What all trials together take, about, when nothing is done yet."""
    heard = [t.arguments.max_updates * t.arguments.audio_seconds_per_update for t in trials if t.trains]
    probes = number_of_probes([trial.arm for trial in trials], 1, curves)
    return (sum(heard) / AUDIO_SECONDS_PER_MINUTE + probes * probe_minutes) / jobs


def number_of_probes(arms: Sequence[str], seeds: int, curves: bool) -> int:
    """Models and checkpoints that are probed; hand-made features have no seeds."""
    handmade = sum(arm in ACOUSTIC_FEATURES for arm in arms)
    on_the_way = curves * (CHECKPOINTS - 1) * sum(arm in CURVES for arm in arms)
    return handmade + seeds * (len(arms) - handmade + on_the_way)


def scaled(arguments: Arguments, share: float) -> Arguments:
    """The same run with all its lengths multiplied: updates, warm-up, the teacher's annealing, each iteration."""
    settings = parse_mapping(arguments.model_config)
    if "ema_anneal_end_step" in settings:
        settings["ema_anneal_end_step"] = max(1, round(share * settings["ema_anneal_end_step"]))
    iterations = [yaml.safe_load(entry) for entry in arguments.iterations]
    for iteration in iterations:
        iteration["updates"] = max(CHECKPOINTS, round(share * iteration["updates"]))
    updates = max(CHECKPOINTS, round(share * arguments.max_updates))
    arguments = dataclasses.replace(
        arguments,
        max_updates=updates,
        warmup_updates=round(share * arguments.warmup_updates),
        model_config=[f"{key}={json.dumps(value)}" for key, value in settings.items()],
        iterations=[json.dumps(iteration) for iteration in iterations],
        checkpoint_every=-(-updates // CHECKPOINTS),
        keep_checkpoints=CHECKPOINTS,
        log_every=max(1, updates // 50),
    )
    validate(arguments)
    return arguments


def fingerprint(arguments: Arguments, data: str) -> str:
    """Hash of all that the weights depend on: the resolved recipe with its seed, and the audio."""
    recipe = arguments_to_recipe(arguments)
    facts = {key: value for key, value in recipe.items() if key not in MAY_CHANGE | {"train_data"}}
    return hashlib.sha256(json.dumps([facts, data], sort_keys=True).encode()).hexdigest()[:10]


def data_identity(train_data: Sequence[str]) -> str:
    """Hash of the names and sizes of all audio in the folders given; of a source that is no folder, its name."""
    facts = []
    for source in train_data:
        root = Path(source)
        files = sorted(path for path in root.rglob("*") if path.suffix.lower() in (".parquet", *AUDIO_EXTENSIONS))
        facts.append([[str(path.relative_to(root)), path.stat().st_size] for path in files] or source)
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _parse(arm: str, train_data: Sequence[str], output_dir: Path) -> Arguments:
    flags = ["--config", str(recipe_path(arm)), "--train_data", *train_data, "--output_dir", str(output_dir)]
    return parse_arguments(flags)[0]
