"""docs/data.md says of every task what the code says."""

import pytest

from musicssl.probing.tasks import TASKS


@pytest.mark.parametrize("name", TASKS)
def test_document_tells_where_a_tasks_data_are(name, project_root):
    data_set = TASKS[name].data_set
    row = f"| `{name}` | {data_set.folder}/ | {data_set.layout} | {data_set.source} | {data_set.license} |"
    assert row in (project_root / "docs" / "data.md").read_text().splitlines()
