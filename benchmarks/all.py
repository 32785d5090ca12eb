"""Run every benchmark, one after the other: about an hour, or a short smoke test with `--quick`.

    python benchmarks/all.py [--quick] [--threads N] [--output_dir FOLDER] [--only NAME ...]

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
    parser.add_argument("--quick", action="store_true", help="use the smallest sizes, for a smoke test only")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="number of threads of every candidate")
    parser.add_argument("--output_dir", type=Path, default=Path("runs/benchmarks"), help="folder for the JSON files")
    parser.add_argument(
        "--only", nargs="+", default=NAMES, choices=NAMES, metavar="NAME", help=f"what to run, of {', '.join(NAMES)}"
    )
    arguments = parser.parse_args()
    failed = []
    for name in arguments.only:
        command = [sys.executable, str(HERE / f"{name}.py"), "--threads", str(arguments.threads)]
        command += ["--output", str(arguments.output_dir / f"{name}.json")] + ["--quick"] * arguments.quick
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
