"""Scores of many heads and many bootstrap resamples at once.

They equal the `evaluate` metrics beside them (tested) and replace these where there would be thousands of calls: after
every epoch, for every head, and for every bootstrap resample.

Shapes: H heads, n clips, C outputs, R resamples; `weights` (R, n) says how often a resample holds each clip.
"""

import torch

from musicssl.probing.metrics.key_score import KEY_SCORES

CHUNK_BYTES = 1 << 28


def accuracy(outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(H, n, C), (n,) -> (R, H) share of clips whose largest output is the target."""
    return _weighted_mean((outputs.argmax(dim=-1) == targets).double(), weights)


def key_score(outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(H, n, 24), (n,) -> (R, H) MIREX weighted key score."""
    table = torch.tensor(KEY_SCORES, dtype=torch.float64, device=outputs.device)
    return _weighted_mean(table[targets, outputs.argmax(dim=-1)], weights)


def r2(outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(H, n, C), (n, C) -> (R, H, C) coefficient of determination of each dimension."""
    weights, targets = weights.double(), targets.double()
    residual = torch.einsum("rn,hnc->rhc", weights, (outputs.double() - targets).square())
    total = weights.sum(dim=1)[:, None]
    centred = targets - targets.mean(dim=0)  # for accuracy; the spread below is about each resample's own mean
    spread = weights @ centred.square() - (weights @ centred).square() / total
    return 1 - residual / torch.where(spread > 0, spread, torch.nan)[:, None]


def roc_auc(outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(H, n, C), (n, C) -> (R, H, C) area under the ROC curve; NaN where a class is absent or everywhere."""
    return _ranked(outputs, targets, weights, _auc_of_ranking)


def average_precision(outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(H, n, C), (n, C) -> (R, H, C) average precision; NaN where a class is absent."""
    return _ranked(outputs, targets, weights, _precision_of_ranking)


def all_once(outputs: torch.Tensor) -> torch.Tensor:
    """(1, n) weights of the one resample that holds every clip once: the clips as they are."""
    return torch.ones(1, outputs.shape[1], device=outputs.device)


def _weighted_mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    weights = weights.double()
    return weights @ values.T / weights.sum(dim=1)[:, None]


def _ranked(outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, score) -> torch.Tensor:
    heads, clips, classes = outputs.shape
    flat = outputs.permute(0, 2, 1).reshape(-1, clips).contiguous()  # (H C, n)
    truth = targets.T.double()  # (C, n)
    weights = weights.double()
    at_once = max(1, CHUNK_BYTES // (8 * 8 * clips * len(weights)))
    parts = [
        score(
            flat[first : first + at_once],
            truth[torch.arange(first, min(first + at_once, len(flat))) % classes],
            weights,
        )
        for first in range(0, len(flat), at_once)
    ]
    return torch.cat(parts, dim=1).view(len(weights), heads, classes)


def _auc_of_ranking(values: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(M, n), (M, n), (R, n) -> (R, M). Ties count half."""
    ordered, order = values.sort(dim=1)
    truth = truth.gather(1, order)
    weight = weights[:, order]  # (R, M, n)
    positive, negative = weight * truth, weight * (1 - truth)
    below = _running(negative)
    left, right = torch.searchsorted(ordered, ordered), torch.searchsorted(ordered, ordered, right=True)
    credit = (_at(below, left) + _at(below, right)) / 2
    pairs = positive.sum(dim=-1) * negative.sum(dim=-1)
    return (positive * credit).sum(dim=-1) / torch.where(pairs > 0, pairs, torch.nan)


def _precision_of_ranking(values: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(M, n), (M, n), (R, n) -> (R, M). Tied clips share one threshold, as in scikit-learn."""
    ordered, order = (-values).sort(dim=1)
    truth = truth.gather(1, order)
    weight = weights[:, order]
    positive = weight * truth
    right = torch.searchsorted(ordered, ordered, right=True)
    hits, drawn = _at(_running(positive), right), _at(_running(weight), right)
    total = positive.sum(dim=-1)
    precision = hits / drawn.clamp(min=1e-12)
    return (positive * precision).sum(dim=-1) / torch.where(total > 0, total, torch.nan)


def _running(values: torch.Tensor) -> torch.Tensor:
    """Sums of the values before each place; one more place than values."""
    return torch.nn.functional.pad(values.cumsum(dim=-1), (1, 0))


def _at(sums: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    return sums.gather(-1, index.expand(*sums.shape[:-1], -1))
