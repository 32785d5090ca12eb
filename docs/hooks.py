"""Hooks of `mkdocs build`: documents of the project's root become pages; relative links lead to pages of the site."""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT_DOCUMENTS = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")


def on_files(files, config):
    """Add the documents of the root as pages."""
    for name, page in ROOT_DOCUMENTS.items():
        files.append(File.generated(config, page, content=(_root(config) / name).read_text()))
    return files


def on_page_markdown(markdown, page, config, files):
    """Point each relative link to its page; one that leads out of the site (to code, say) becomes plain text."""
    root = _root(config)
    generated = page.file.generated_by is not None
    here = posixpath.dirname(page.file.src_uri)
    written_in = root if generated else Path(config.docs_dir) / here

    def relinked(match: re.Match) -> str:
        image, text, target, anchor = match.groups()
        path = (written_in / target).resolve()
        if not path.exists():
            return match[0]  # mkdocs warns about it
        if path.parent == root and path.name in ROOT_DOCUMENTS:
            goal = ROOT_DOCUMENTS[path.name]
        elif path.is_relative_to(config.docs_dir):
            goal = path.relative_to(config.docs_dir).as_posix()
        else:
            return text
        return f"{image}[{text}]({posixpath.relpath(goal, here or '.')}{anchor or ''})"

    return LINK.sub(relinked, markdown)


def _root(config) -> Path:
    return Path(config.config_file_path).parent
