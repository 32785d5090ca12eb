"""Flags that had another name in version 0.1: the old name is answered with the new one."""

from collections.abc import Sequence

from musicssl.errors import UserError

# command -> old flag -> new flag.
RENAMED_FLAGS: dict[str, dict[str, str]] = {
    "card": {"--out": "--output_dir"},
    "demo": {"--out": "--output_dir"},
    "extract": {"--out": "--output_dir"},
    "labels": {"--clusters": "--num_clusters", "--out": "--output (plot) or --output_dir (compare)"},
    "prepare": {"--out": "--output_dir"},
    "scan": {"--json": "--output"},
    "similar": {"--out": "--output"},
}
# Commands that took their arguments by position -> the flags that give them now.
FORMERLY_POSITIONAL: dict[str, str] = {
    "card": "--model DIR",
    "convert": "--model SOURCE --output_dir DIR",
    "export": "--model DIR --output FILE",
    "push": "--model DIR --hub_model_id OWNER/NAME",
}
# Flags without a value, which may have stood before the arguments.
FORMER_SWITCHES = ("--private", "--public", "--trust_remote_code")


def refuse_old_spellings(command: str, command_line: Sequence[str]) -> None:
    """Raise UserError when the command line of `musicssl command` uses a name of version 0.1."""
    # argparse takes the beginning of a flag for the flag: without this check, --out would mean --output_dir.
    for word in command_line:
        old = word.partition("=")[0]
        if new := RENAMED_FLAGS.get(command, {}).get(old):
            raise UserError(f"{old} is now {new}")
    words = [word for word in command_line if word not in FORMER_SWITCHES]
    if command in FORMERLY_POSITIONAL and words and not words[0].startswith("-"):
        flags = FORMERLY_POSITIONAL[command]
        raise UserError(f"{words[0]}: arguments by position are now flags: musicssl {command} {flags}")
