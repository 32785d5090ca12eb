"""Write each part of a collection once, and keep a record of its settings."""

import json
import os
import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from musicssl.demo.archives import ARCHIVES
from musicssl.errors import UserError

RECORD = "demo.json"


def write_archives(out: Path, archives: Iterable[str], seed: int = 0, size: int = 1) -> None:
    """Write each data set in the layout it is distributed in, `size` times the smallest, as `write_part` does."""
    settings = {"seed": seed, "size": size}
    for archive in archives:
        write_part(out, archive, settings, partial(ARCHIVES[archive], **settings))


def write_part(out: Path, part: str, settings: dict, write: Callable[[Path], None]) -> None:
    """Write `out/part` once: aside first, then renamed, so that a killed run leaves nothing half-written.

    `out/demo.json` records the settings of each finished part; the same settings again are a no-op.

    Raises:
        UserError: `out/part` is there and was not made with these settings.
    """
    record_path, folder = out / RECORD, out / part
    record = json.loads(record_path.read_text()) if record_path.is_file() else {}
    settings = json.loads(json.dumps(settings))
    if folder.exists():
        if record.get(part) != settings:
            raise UserError(f"--output_dir {out}: {part} is there, made otherwise; delete it or choose another folder")
        print(f"{folder}: already there")
        return
    aside = folder.with_name(f".{folder.name}.partial")
    if aside.exists():
        shutil.rmtree(aside)
    write(aside)
    os.replace(aside, folder)
    record_path.write_text(json.dumps(record | {part: settings}, indent=1) + "\n")
    print(f"{folder}: written")
