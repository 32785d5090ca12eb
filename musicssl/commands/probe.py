"""Measure what frozen audio encoders know, on labelled music, task by task and layer by layer."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from musicssl.commands.parser import CommandParser
from musicssl.flags import add_flags, convert
from musicssl.probing.request import AVAILABLE, FLAG_GROUPS, ProbeRequest, baselines_of, check_data_root


def main(command_line: Sequence[str] | None = None) -> int:
    """Probe, compare, or list what is available; returns 1 when a task could not be done, else 0.

    Raises:
        UserError: names the flag and the fix.
    """
    parsed = _parser().parse_args(command_line)
    given = {own.name: convert(own, getattr(parsed, own.name)) for own in fields(ProbeRequest) if own.name in parsed}
    if parsed.compare:
        from musicssl.probing.results.report import show

        show(parsed.compare, Path(given.get("output_dir", parsed.compare[0])), not parsed.no_report)
        return 0
    if given.get("tasks") == AVAILABLE:
        data_root = given.get("data_root", "")
        check_data_root(AVAILABLE, data_root)
        from musicssl.probing.tasks.availability import availability_table

        print(availability_table(Path(data_root)).markdown())
        return 0
    if "model" in given and parsed.baselines is not None:
        given["model"] += tuple(parsed.baselines or baselines_of(given["model"]))
    request = ProbeRequest(**given)
    from musicssl.probing.probe import carry_out
    from musicssl.probing.results.report import show

    contents = carry_out(request)
    if contents:  # the main process
        folders = list(request.folders.values())
        show(folders, folders[0], not parsed.no_report)
    return int(any(name in content["errors"] for content in contents for name in request.task_names))


def _parser() -> CommandParser:
    parser = CommandParser("musicssl probe", __doc__)
    for group in FLAG_GROUPS:
        add_flags(parser, group)
    more = parser.add_argument_group("Comparison and report")
    more.add_argument(
        "--baselines", nargs="*", metavar="MODEL",
        help="baselines to compare with; given without names: random weights of each --model, and mfcc",
    )  # fmt: skip
    more.add_argument(
        "--compare", nargs="+", type=Path, metavar="DIR",
        help="compare finished output folders instead of probing, with the significance of the differences",
    )  # fmt: skip
    more.add_argument("--no_report", action="store_true", help="do not write report.html")
    return parser
