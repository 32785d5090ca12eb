"""What the study trains and probes, and how many updates each run gets within a budget of minutes."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from musicssl.audio.walk import is_audio, visible_files
from musicssl.errors import UserError
from musicssl.pretraining.config.checks import validate
from musicssl.pretraining.config.parsing import make_config
from musicssl.pretraining.config.resuming import MUST_STAY
from musicssl.pretraining.config.settings import FORMER_NAMES, PretrainConfig
from musicssl.probing.encoders.acoustic import ACOUSTIC_FEATURES
from musicssl.probing.encoders.huggingface import RANDOM_PREFIX
from musicssl.recipes import find_recipe

RECIPES = Path(__file__).resolve().parent / "recipes"
MUSIC2VEC = ("music2vec", *(f"music2vec_{change}" for change in (
    "prob50", "prob80", "span5", "span15", "target4", "crop2s", "updates4k", "masks4",
)))  # fmt: skip
MUSICHUBERT = ("musichubert", "musichubert_mfcc60", "musichubert_k400", "musichubert_iter2")
MEL = "musichubert_mel"
REMEDIES = tuple(f"{MEL}_{target}" for target in ("chroma", "cqt", "logmel_chroma", "cqt_regression"))
SMALL = "musichubert_small"
SMALL_CHOICES = tuple(f"{SMALL}_{choice}" for choice in (
    "mfcc", "masked_only", "mel_only", "no_regression", "random_start", "updates6k",
))  # fmt: skip
# Arms with training audio of their own in place of --train_data; both folders hold as many seconds.
SPEECH, EXCERPT = "musichubert_speech", "musichubert_excerpt"
OWN_MATERIAL = {SPEECH: "speech", EXCERPT: "excerpt"}
TRAINED = (*MUSIC2VEC, *MUSICHUBERT, MEL, *REMEDIES, SMALL, *SMALL_CHOICES, SPEECH, EXCERPT)
# Base recipe -> the arms that change one thing in it.
BASES = {"music2vec": MUSIC2VEC, "musichubert": (*MUSICHUBERT, SPEECH, EXCERPT), MEL: REMEDIES, SMALL: SMALL_CHOICES}
# Acoustic features and untrained networks; arms with the same architecture share one.
CONTROLS = (*ACOUSTIC_FEATURES, *(RANDOM_PREFIX + name for name in ("music2vec", "musichubert", MEL, SMALL)))
ARMS = (*CONTROLS, *TRAINED)
QUICK_ARMS = (*CONTROLS, "music2vec", "musichubert", MEL, f"{MEL}_chroma", SMALL)
# Arms whose intermediate checkpoints are probed, for the curve of score against hours of audio.
CURVES = ("musichubert", SMALL)
CHECKPOINTS = 4

# Approximate speed of one of two busy cores with the study's models; it only decides how many updates fit into
# --budget_minutes.
AUDIO_SECONDS_PER_MINUTE = 2000


@dataclass(frozen=True)
class Trial:
    """One arm with one seed; `config` is None for acoustic features."""

    arm: str
    seed: int
    folder: Path
    config: PretrainConfig | None = None

    @property
    def trains(self) -> bool:
        return self.arm in TRAINED

    @property
    def encoder(self) -> str:
        """What the probe loads."""
        if self.config is None:
            return self.arm
        return str(self.folder) if self.trains else f"{RANDOM_PREFIX}{self.folder}"


def recipe_path(arm: str) -> Path:
    """The recipe of a trained arm or of its random control."""
    return find_recipe(arm.removeprefix(RANDOM_PREFIX), RECIPES)


def check_arms(arms: Sequence[str]) -> None:
    """Raise UserError for an unknown arm."""
    for arm in arms:
        if arm not in ARMS:
            raise UserError(f"--arms {arm}: unknown arm; available: {', '.join(ARMS)}")


def make_plan(
    arms: Sequence[str], seeds: int, train_data: Sequence[str], output_dir: Path, share: float = 1.0
) -> list[Trial]:
    """Every trial of the study, seed by seed, so that an unfinished study has all arms with fewer seeds.

    Args:
        share: factor for the updates that the recipes give.
    """
    trials = []
    for seed in range(1, seeds + 1):
        for arm in arms:
            if arm in ACOUSTIC_FEATURES:
                trials += [Trial(arm, seed, output_dir / arm)] if seed == 1 else []
                continue
            heard = [str(output_dir / OWN_MATERIAL[arm])] if arm in OWN_MATERIAL else train_data
            config = scaled(_config(arm, heard, output_dir).with_flags(seed=seed), share)
            folder = output_dir / f"{arm.replace(':', '-')}-{fingerprint(config, data_identity(heard))}"
            trials.append(Trial(arm, seed, folder, config.with_flags(output_dir=str(folder))))
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
    """Factor for the updates of every recipe with which all trials together take about `budget_minutes`.

    Args:
        material_minutes: approximate time to make the audio before the first trial.
        probe_minutes: approximate time to probe one model, with `jobs` at once.

    Raises:
        UserError: the budget leaves no time to train.
    """
    audio_seconds = seeds * sum(audio_seconds_of(_config(arm, ["-"], Path("-"))) for arm in arms if arm in TRAINED)
    fixed_minutes = material_minutes + number_of_probes(arms, seeds, curves) * probe_minutes / jobs
    if budget_minutes <= fixed_minutes:
        raise UserError(
            f"--budget_minutes {budget_minutes:g}: making the audio and probing alone take {fixed_minutes:.0f} "
            "minutes; give a larger budget, or fewer --arms or --seeds"
        )
    return (budget_minutes - fixed_minutes) * jobs * AUDIO_SECONDS_PER_MINUTE / max(audio_seconds, 1)


def expected_minutes(trials: Sequence[Trial], probe_minutes: float, jobs: int, curves: bool) -> float:
    """Approximate time of all trials together when nothing is done yet."""
    heard = [audio_seconds_of(trial.config) for trial in trials if trial.trains]
    probes = number_of_probes([trial.arm for trial in trials], 1, curves)
    return (sum(heard) / AUDIO_SECONDS_PER_MINUTE + probes * probe_minutes) / jobs


def number_of_probes(arms: Sequence[str], seeds: int, curves: bool) -> int:
    """Number of models and checkpoints to probe; acoustic features have no seeds."""
    acoustic = sum(arm in ACOUSTIC_FEATURES for arm in arms)
    intermediate = curves * (CHECKPOINTS - 1) * sum(arm in CURVES for arm in arms)
    return acoustic + seeds * (len(arms) - acoustic + intermediate)


def audio_seconds_of(config: PretrainConfig) -> float:
    """Seconds of audio that a run trains on."""
    return config.optimisation.max_updates * config.optimisation.audio_seconds_per_update


def scaled(config: PretrainConfig, share: float) -> PretrainConfig:
    """The same run with all its lengths multiplied: updates, warm-up, the teacher's annealing, each iteration."""
    settings = dict(config.model.model_config)
    if "ema_anneal_end_step" in settings:
        settings["ema_anneal_end_step"] = max(1, round(share * settings["ema_anneal_end_step"]))
    iterations = [
        entry | {"updates": max(CHECKPOINTS, round(share * entry["updates"]))} for entry in config.labels.iterations
    ]
    updates = max(CHECKPOINTS, round(share * config.optimisation.max_updates))
    config = config.with_flags(
        max_updates=updates,
        warmup_updates=round(share * config.optimisation.warmup_updates),
        model_config=settings,
        iterations=iterations,
        checkpoint_every=-(-updates // CHECKPOINTS),
        keep_checkpoints=CHECKPOINTS,
        log_every=max(1, updates // 50),
    )
    validate(config)
    return config


def fingerprint(config: PretrainConfig, data: str) -> str:
    """Hash of everything that the weights depend on: the resolved recipe with its seed, and the audio.

    Flags go in by their first names, so that trials of an earlier version are found again.
    """
    first_names = {new: old for old, new in FORMER_NAMES.items()}
    flags = config.flags()
    facts = {first_names.get(name, name): flags[name] for name in MUST_STAY if name != "train_data"}
    return hashlib.sha256(json.dumps([facts, data], sort_keys=True).encode()).hexdigest()[:10]


def data_identity(train_data: Sequence[str]) -> str:
    """Hash of the names and sizes of all audio in the folders given; a source that is not a folder counts by name."""
    facts = []
    for source in train_data:
        root = Path(source)
        files = sorted(path for path in visible_files(root) if is_audio(path) or path.suffix == ".parquet")
        facts.append([[str(path.relative_to(root)), path.stat().st_size] for path in files] or source)
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _config(arm: str, train_data: Sequence[str], output_dir: Path) -> PretrainConfig:
    return make_config(recipe_path(arm), train_data=train_data, output_dir=output_dir)
