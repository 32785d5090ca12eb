"""Parts of a folder that this package makes: each is written whole, once, and its settings are recorded."""

import json
from collections.abc import Callable
from pathlib import Path

from musicssl.errors import UserError
from musicssl.files import DEMO_RECORD, read_json, whole_file, write_json


def write_part(folder: Path, part: str, settings: dict, write: Callable[[Path], None]) -> None:
    """Write `folder/part` unless it is there already, and record its settings in `folder/demo.json`.

    Args:
        settings: JSON-like; the same settings again write nothing.
        write: writes the part into the path it is given, which does not exist yet.

    Raises:
        UserError: `folder/part` exists and was made with other settings.
    """
    record_path, target = folder / DEMO_RECORD, folder / part
    record = read_json(record_path) if record_path.is_file() else {}
    settings = json.loads(json.dumps(settings))  # as the record holds them: tuples are lists
    if target.exists():
        if record.get(part) != settings:
            raise UserError(f"{target} already exists with other settings; delete it or choose another folder")
        print(f"{target}: already there")
        return
    with whole_file(target) as partial:
        write(partial)
    write_json(record_path, record | {part: settings}, indent=1)
    print(f"{target}: written")
