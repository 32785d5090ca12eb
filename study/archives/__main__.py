"""Write small synthetic sets in the layouts of the probing tasks.

python -m study.archives --output_dir DATA --tasks all
python run_probing.py --model DIR --tasks available --data_root DATA
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from musicssl.errors import UserError, run_as_command
from musicssl.probing.tasks.finding import select_tasks
from study.archives import write_archives


def main(command_line: Sequence[str] | None = None) -> None:
    """Write what is missing; raises UserError when the folder holds sets of another seed or size."""
    parser = argparse.ArgumentParser(prog="python -m study.archives", description=__doc__.splitlines()[0])
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to write to")
    parser.add_argument("--tasks", required=True, help="tasks to write the data sets of: all, or names like a,b")
    parser.add_argument("--size", type=int, default=1, help="scale factor for the number of clips (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="random seed; the same seed gives the same files")
    parsed = parser.parse_args(command_line)
    for flag, smallest in (("size", 1), ("seed", 0)):
        if getattr(parsed, flag) < smallest:
            raise UserError(f"--{flag} {getattr(parsed, flag)}: give at least {smallest}")
    names = dict.fromkeys(task.data_set.folder for task in select_tasks(parsed.tasks))
    write_archives(parsed.output_dir, names, parsed.seed, parsed.size)


if __name__ == "__main__":
    sys.exit(run_as_command(main))
