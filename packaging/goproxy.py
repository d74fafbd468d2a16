"""Packs the Go module in the layout of a module proxy: goproxy.py VERSION FOLDER."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

MODULE = "github.com/nightcore/nightcore/languages/go"
SOURCE = Path(__file__).parents[1] / "languages" / "go"
# Every archive has this fixed time, so that the same sources always give the same archive.
TIME = "2000-01-01T00:00:00Z"


def main() -> None:
    """Write the proxy's files."""
    version, folder = f"v{sys.argv[1]}", Path(sys.argv[2]) / MODULE / "@v"
    folder.mkdir(parents=True)
    (folder / "list").write_text(f"{version}\n")
    (folder / f"{version}.info").write_text(json.dumps({"Version": version, "Time": TIME}))
    (folder / f"{version}.mod").write_bytes((SOURCE / "go.mod").read_bytes())
    asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(
        asked, cwd=SOURCE, check=True, capture_output=True, text=True
    ).stdout.split()
    with zipfile.ZipFile(folder / f"{version}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in [*(SOURCE / file for file in sorted(files)), SOURCE.parents[1] / "LICENSE"]:
            name = path.name if path.name == "LICENSE" else path.relative_to(SOURCE)
            entry = zipfile.ZipInfo(f"{MODULE}@{version}/{name}")
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


if __name__ == "__main__":
    main()
