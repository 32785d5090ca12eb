"""docs/data.md says of every task what the code says."""

import pytest

from musicssl.probing.tasks import TASKS


@pytest.mark.parametrize("name", TASKS)
def test_document_tells_where_a_tasks_data_are(name, project_root):
    task = TASKS[name]
    row = f"| `{name}` | {task.dataset}/ | {task.layout} | {task.source} | {task.licence} |"
    assert row in (project_root / "docs" / "data.md").read_text().splitlines()
