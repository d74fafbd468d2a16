"""Sphinx's configuration of the site that `make docs` builds from all Markdown files.

The files stay as they are read on GitHub. The site's contents are the sections and links of
docs/README.md. A page that docs/README.md does not name causes a warning, and the build fails.
"""

import posixpath
import re
import subprocess
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]


def git_files(*arguments: str) -> list[str]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z", *arguments]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [name for name in listed.split("\0") if name]


project = "Nightcore"
release = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = git_files("--cached", "--others", "--exclude-standard", "*.md")
# Sphinx searches every folder that is not excluded, so cargo's target folder must be.
ignored = git_files("--others", "--ignored", "--exclude-standard", "--directory")
exclude_patterns = [".git", *(name.rstrip("/") for name in ignored)]

# Every heading has an anchor, as on GitHub.
myst_heading_anchors = 6

html_theme = "furo"
html_title = f"Nightcore {release}"
html_copy_source = False
html_show_copyright = False


def toctree(pages: list[str], caption: str) -> str:
    options = ":hidden:\n" + (f":caption: {caption}\n" if caption else "")
    entries = "".join(f"/{page}\n" for page in pages if page != root_doc)
    return f"\n```{{toctree}}\n{options}\n{entries}```\n"


def contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Appends the table of contents to a page: the links of an index, grouped by its sections."""
    if docname == root_doc:
        source[0] += toctree(["docs/README"], "")
        index = "docs/README"
    elif docname == "docs/decisions/README":
        index = docname
    else:
        return
    text = Path(app.env.doc2path(index)).read_text()
    for section in re.split("^## ", text, flags=re.MULTILINE):
        links = re.findall(r"\]\(([^)#:]*)\.md\)", section)
        pages = [posixpath.normpath(posixpath.join(index, "..", link)) for link in links]
        caption = section.partition("\n")[0]
        source[0] += toctree(pages, "" if caption.startswith("# ") else caption)


def setup(app: Sphinx) -> None:
    app.connect("source-read", contents)
