"""Every benchmark, one after the other: `--quick` is the smoke run of the tests, without it they take an hour or so.

    python benchmarks/all.py [--quick] [--threads N] [--out DIRECTORY] [--only NAME ...]

A failing benchmark does not stop the others; its name is printed last and the exit status is 1.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHARED = {"all", "hf_reference", "in_process", "side_by_side"}
NAMES = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in SHARED)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smallest sizes, for a smoke run only")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads for every candidate")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"), help="directory of the JSON files")
    parser.add_argument(
        "--only", nargs="+", default=NAMES, choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}"
    )
    arguments = parser.parse_args()
    failed = []
    for name in arguments.only:
        command = [sys.executable, str(HERE / f"{name}.py"), "--threads", str(arguments.threads)]
        command += ["--out", str(arguments.out / f"{name}.json")] + ["--quick"] * arguments.quick
        print(f"\n== {name}", flush=True)
        start = time.perf_counter()
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
