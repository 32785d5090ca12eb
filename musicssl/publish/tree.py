"""Write the repository that is published of a run: the model's directory, its records and its card."""

from pathlib import Path

import torch

from musicssl.families import feature_extractor_of, load_whole
from musicssl.files import copy_whole
from musicssl.model_files import save_for_hub
from musicssl.publish.card import write_card

# What a run leaves beside its model and the card reads.
RECORDS = ("recipe.yaml", "iteration_recipe.yaml", "metrics.jsonl", "results.json", "environment.json", "codebook")


def assemble(
    run_directory: str | Path, directory: str | Path, dtype: torch.dtype | None = None, *,
    model_id: str | None = None, license: str | None = None, data_description: str = "",
) -> None:  # fmt: skip
    """Write the whole repository of a run: the model, its recipe, curves, codebook, results and card.

    Args:
        run_directory: the output directory of a run, or the directory of a converted model.
        directory: created if needed.
        dtype: the type of the stored weights; None keeps the model's.
        model_id, license, data_description: as in `musicssl.publish.card.write_card`.

    Raises:
        UserError: there is no loadable model in `run_directory`.
    """
    run_directory, directory = Path(run_directory), Path(directory)
    model = load_whole(run_directory)
    save_for_hub(model, directory, dtype, feature_extractor_of(run_directory, model.config))
    for name in RECORDS:
        if (run_directory / name).exists():
            copy_whole(run_directory / name, directory / name)
    write_card(directory, model_id, license, data_description)
