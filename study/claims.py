"""What the study asks of its numbers, and what they answer."""

from dataclasses import dataclass

from musicssl.probing.encoders.huggingface import RANDOM_PREFIX
from study.measurements import Study, difference, interval
from study.plan import EXCERPT, MEL, MUSIC2VEC, MUSICHUBERT, REMEDIES, SMALL, SPEECH

STATISTICS = ("mfcc", "logmel", "chroma", "cqt")
HARMONY = ("pitch_class", "key")


@dataclass(frozen=True)
class Answer:
    """A claim that `first` scores higher than `second`, on `tasks`, and how far the numbers bear it out.

    Attributes:
        gap, ci95: the difference and its paired interval.
        apart: whether not even the two averages' own intervals overlap, which asks for more than the claim does.
        apart_over_seeds: the same of their intervals over pre-training seeds alone, where both have enough.
        groups: the difference and its interval on each group of tasks, for a claim about all of them.
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
    asked = [("training beats random weights", arm, control_of(arm), study.tasks) for arm in study.updates]
    asked += [("music beats as much speech", EXCERPT, SPEECH, [task for task in study.tasks if "speaker" not in task])]
    asked += [("the small recipe beats statistics", SMALL, name, study.tasks) for name in STATISTICS]
    asked += [
        ("the small recipe beats the paper's at equal updates", SMALL, arm, study.tasks)
        for arm in MUSIC2VEC + MUSICHUBERT
        if study.updates.get(arm) == study.updates.get(SMALL)
    ]
    asked += [("pitch-aware targets bring harmony in", arm, MEL, harmony) for arm in REMEDIES]
    asked += [("pitch-aware targets bring harmony in", SMALL, f"{SMALL}_mfcc", harmony)]
    asked += [("MFCC targets leave harmony out", control_of(arm), arm, harmony) for arm in ("musichubert", MEL)]
    return [
        _answer(study, claim, first, second, list(tasks))
        for claim, first, second, tasks in asked
        if first in study.arms and second in study.arms and tasks
    ]


def _answer(study: Study, claim: str, first: str, second: str, tasks: list[str]) -> Answer:
    pair = [study.arms[arm] for arm in (first, second)]
    gap, ci95 = difference(*pair, tasks)
    apart = _disjoint(*(interval(arm.resampled(tasks)) for arm in pair))
    over_seeds = _disjoint(*(arm.over_seeds(tasks) for arm in pair))
    parts = study.parts if tasks == study.tasks else {}
    groups = {group: difference(*pair, own) for group, own in parts.items()}
    return Answer(claim, first, second, tuple(tasks), gap, ci95, apart, over_seeds, groups)


def _disjoint(first: tuple[float, float] | None, second: tuple[float, float] | None) -> bool:
    return bool(first and second) and (first[0] > second[1] or first[1] < second[0])
