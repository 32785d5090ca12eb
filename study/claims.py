"""The claims that the study tests, and how far its numbers support them."""

from dataclasses import dataclass

from musicssl.probing.encoders.huggingface import RANDOM_PREFIX
from study.measurements import Study, difference, interval
from study.plan import BASES, EXCERPT, MEL, MUSIC2VEC, MUSICHUBERT, REMEDIES, SMALL, SPEECH

ACOUSTIC = ("mfcc", "logmel", "chroma", "cqt")
HARMONY = ("pitch_class", "key")


@dataclass(frozen=True)
class Answer:
    """A claim that `first` scores higher than `second` on `tasks`, and the measured difference.

    Attributes:
        gap, ci95: the difference and its paired 95 % interval.
        apart: the intervals of the two averages do not overlap, which is stricter than the claim.
        apart_over_seeds: the same for their intervals over pre-training seeds, where both arms have enough seeds.
        groups: the difference and its interval on each group of tasks, for a claim about all tasks.
        is_main: shown in the study itself; the same claim about an ablation is in its appendix.
    """

    claim: str
    first: str
    second: str
    tasks: tuple[str, ...]
    gap: float
    ci95: tuple[float, float]
    apart: bool
    apart_over_seeds: bool
    groups: dict[str, tuple[float, tuple[float, float]]]
    is_main: bool = True

    @property
    def verdict(self) -> str:
        if self.ci95[0] > 0:
            return "holds" + (", apart" if self.apart else ", apart over seeds" if self.apart_over_seeds else "")
        return "the opposite holds" if self.ci95[1] < 0 else "undecided"


def control_of(arm: str) -> str:
    """The same network with random weights."""
    shared = next((name for name in (SMALL, MEL) if arm.startswith(name)), arm.split("_")[0])
    return RANDOM_PREFIX + shared


def answers(study: Study) -> list[Answer]:
    """Every claim whose two arms are finished."""
    harmony = [task for task in study.tasks if task.endswith(HARMONY)]
    no_speakers = [task for task in study.tasks if "speaker" not in task]
    # Claim, the two arms, the tasks, whether it is a main claim.
    asked = [
        ("training beats random weights", arm, control_of(arm), study.tasks, arm in BASES) for arm in study.updates
    ]
    asked += [("music beats the same amount of speech", EXCERPT, SPEECH, no_speakers, True)]
    asked += [("the small recipe beats acoustic features", SMALL, name, study.tasks, True) for name in ACOUSTIC]
    asked += [
        ("the small recipe beats the paper's settings", SMALL, arm, study.tasks, arm in BASES)
        for arm in MUSIC2VEC + MUSICHUBERT
        if study.updates.get(arm) == study.updates.get(SMALL)
    ]
    asked += [("pitch-aware targets improve harmony", arm, MEL, harmony, True) for arm in REMEDIES]
    asked += [("pitch-aware targets improve harmony", SMALL, f"{SMALL}_mfcc", harmony, True)]
    asked += [("MFCC targets lower harmony", control_of(arm), arm, harmony, True) for arm in ("musichubert", MEL)]
    return [
        _answer(study, claim, first, second, list(tasks), is_main)
        for claim, first, second, tasks, is_main in asked
        if first in study.arms and second in study.arms and tasks
    ]


def _answer(study: Study, claim: str, first: str, second: str, tasks: list[str], is_main: bool) -> Answer:
    pair = [study.arms[arm] for arm in (first, second)]
    gap, ci95 = difference(*pair, tasks)
    apart = _disjoint(*(interval(arm.resampled(tasks)) for arm in pair))
    over_seeds = _disjoint(*(arm.over_seeds(tasks) for arm in pair))
    parts = study.parts if tasks == study.tasks else {}
    groups = {group: difference(*pair, own) for group, own in parts.items()}
    return Answer(claim, first, second, tuple(tasks), gap, ci95, apart, over_seeds, groups, is_main)


def _disjoint(first: tuple[float, float] | None, second: tuple[float, float] | None) -> bool:
    return bool(first and second) and (first[0] > second[1] or first[1] < second[0])
