"""Measure what frozen audio encoders know, on labelled music: `musicssl probe` and `run_probing.py`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from musicssl.probing.encoders.acoustic import ACOUSTIC_FEATURES
from musicssl.probing.kinds import KINDS
from musicssl.probing.probe import carry_out
from musicssl.probing.request import CHOICES, ProbeRequest, baselines_of, check_data_root
from musicssl.probing.results.compare import compare, difference_table
from musicssl.probing.results.report import write_report
from musicssl.probing.results.results import load_results
from musicssl.probing.results.tables import failures, published_notes, published_table, score_table
from musicssl.probing.tasks.availability import availability_table
from musicssl.probing.tasks.finding import ALL
from musicssl.tables import Table

AVAILABLE = "available"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags; their defaults are the protocol's."""
    what = parser.add_argument_group("what to probe")
    what.add_argument(
        "--model",
        dest="models",
        nargs="+",
        default=[],
        metavar="MODEL",
        help="checkpoint directories or Hub ids, random:DIR (the same network with random weights), or acoustic "
        f"features: {', '.join(ACOUSTIC_FEATURES)}",
    )
    what.add_argument(
        "--baselines",
        nargs="*",
        metavar="MODEL",
        help="models to compare with; without values: the networks of --model with random weights, and mfcc",
    )
    what.add_argument("--trust_remote_code", action="store_true", help="run model code from the Hub (MERT needs it)")
    tasks = parser.add_argument_group("tasks")
    tasks.add_argument(
        "--tasks",
        help=f"published tasks: {ALL}, names joined by commas, or {AVAILABLE} (list what is found and stop)",
    )
    tasks.add_argument("--data_root", type=Path, help="folder of published data sets, one folder each")
    tasks.add_argument(
        "--allow_partial", action="store_true", help="score incomplete data sets too (the scores are not comparable)"
    )
    tasks.add_argument("--custom_task", help="your labelled collection: an audiofolder, parquet files or a Hub id")
    tasks.add_argument(
        "--label", nargs="+", default=[], metavar="COLUMN", help="columns of --custom_task to predict, one task each"
    )
    tasks.add_argument(
        "--type",
        nargs="+",
        default=list(ProbeRequest.kinds),
        dest="kinds",
        metavar="TYPE",
        help="what the columns of --label hold, one type for all or one per column: "
        + "; ".join(f"{kind.name} ({kind.column})" for kind in KINDS.values()),
    )
    tasks.add_argument(
        "--audio_column",
        default=ProbeRequest.audio_column,
        help="column with the audio, in parquet files and Hub data sets (default: %(default)s)",
    )
    tasks.add_argument(
        "--track_column",
        metavar="COLUMN",
        help="clips with the same value in this column are one track: their scores are averaged",
    )
    protocol = parser.add_argument_group("protocol")
    _number(protocol, "seeds", int, "number of heads that differ in their seed only")
    _number(protocol, "seed", int, "first seed of the heads, and the seed of random weights")
    protocol.add_argument(
        "--learning_rates", type=float, nargs="+", metavar="RATE", help="override the grid of learning rates"
    )
    protocol.add_argument("--max_epochs", type=int, help="override the tasks' number of epochs")
    protocol.add_argument("--window_seconds", type=float, help="override the tasks' window length, in seconds")
    _choice(protocol, "channel_mode", "how stereo becomes mono")
    _choice(protocol, "pooling", "how a network's frames become one vector; mean_std appends the standard deviation")
    _choice(
        protocol,
        "feature_scaling",
        "scaling of features before the heads; standard: zero mean and unit variance; auto: standard for acoustic "
        "features, none for networks (as MARBLE)",
    )
    _number(protocol, "bootstrap_resamples", int, "bootstrap resamples of the test tracks, for the intervals")
    speed = parser.add_argument_group("speed and storage")
    speed.add_argument("--output_dir", type=Path, help="folder of the results (default: runs/probing/MODEL)")
    speed.add_argument(
        "--feature_store",
        type=Path,
        default=ProbeRequest.feature_store,
        help="folder of features, which later runs reuse (default: %(default)s)",
    )
    _choice(speed, "feature_dtype", "number format of stored features")
    _choice(speed, "dtype", "number format of the encoder's arithmetic")
    _number(speed, "batch_seconds", float, "seconds of audio per forward pass of the encoder")
    _number(speed, "checkpoint_seconds", float, "seconds between two saves of the heads in training")
    speed.add_argument("--overwrite", action="store_true", help="probe finished tasks again")
    report = parser.add_argument_group("report")
    report.add_argument(
        "--compare",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="compare finished output folders instead of probing, with the significance of the differences",
    )
    report.add_argument("--no_report", action="store_true", help="do not write report.html")


def run(arguments: argparse.Namespace) -> int:
    """Probe, compare, or list what is available; returns 1 when a task could not be done, else 0.

    Raises:
        UserError: names the flag and the fix.
    """
    given = dict(vars(arguments))
    report = not given.pop("no_report")
    if folders := given.pop("compare"):
        show(folders, given["output_dir"] or folders[0], report)
        return 0
    if given["tasks"] == AVAILABLE:
        check_data_root(AVAILABLE, given["data_root"])
        print(availability_table(given["data_root"]).markdown())
        return 0
    models, baselines = given["models"], given["baselines"]
    if models and baselines is not None:
        given["models"] = [*models, *(baselines or baselines_of(models))]
    request = ProbeRequest(**{name: given[name] for name in ProbeRequest.__dataclass_fields__})
    contents = carry_out(request)
    if contents:  # the main process
        folders = list(request.folders.values())
        show(folders, folders[0], report)
    return int(any(name in content["errors"] for content in contents for name in request.task_names))


def show(folders: Sequence[Path], report_folder: Path, report: bool = True) -> None:
    """Print the tables of finished folders, and write the report when it is asked for."""
    results = [load_results(folder) for folder in folders]
    differences, notes = compare(folders)
    _print(score_table(results), failures(results))
    _print(published_table(results), published_notes(results))
    _print(difference_table(differences) if differences else None, notes)
    written = [folder / "results.json" for folder in folders]
    if report:
        written.append(report_folder / "report.html")
        write_report(results, written[-1], differences, notes)
    print(*written, sep="\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """`run_probing.py`."""
    parser = argparse.ArgumentParser(
        prog="run_probing.py",
        description="Measure what a frozen audio encoder knows, task by task and layer by layer.",
    )
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def _print(table: Table | None, notes: Sequence[str]) -> None:
    """A table and notes on it, with a blank line after each."""
    if table:
        print(f"{table.markdown()}\n")
    if notes:
        print("\n".join(notes) + "\n")


def _choice(group: argparse._ArgumentGroup, name: str, meaning: str) -> None:
    default = getattr(ProbeRequest, name)
    group.add_argument(f"--{name}", choices=CHOICES[name], default=default, help=f"{meaning} (default: {default})")


def _number(group: argparse._ArgumentGroup, name: str, kind: type, meaning: str) -> None:
    default = getattr(ProbeRequest, name)
    group.add_argument(f"--{name}", type=kind, default=default, help=f"{meaning} (default: %(default)s)")
