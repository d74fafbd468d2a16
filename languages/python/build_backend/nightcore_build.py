"""The build backend: maturin, plus the command `nightcore` and an sdist that builds alone.

NIGHTCORE_ENGINE names an engine that is built already.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import maturin
from maturin import (
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_wheel",
]

PACKAGE = Path(__file__).parents[1]
ROOT = PACKAGE.parents[1]
COMMAND = PACKAGE / "nightcore.data" / "scripts" / "nightcore"
CRATES = ["runtime-core", "load", "engine", "bindings/python"]

Settings = dict[str, object] | None


def build_wheel(folder: str, settings: Settings = None, metadata: str | None = None) -> str:
    """Build the wheel."""
    _engine()
    return str(maturin.build_wheel(folder, settings, metadata))


def build_editable(folder: str, settings: Settings = None, metadata: str | None = None) -> str:
    """Build the wheel that leads to the sources."""
    _engine()
    return str(maturin.build_editable(folder, settings, metadata))


def prepare_metadata_for_build_wheel(folder: str, settings: Settings = None) -> str:
    """Tell what the wheel will be."""
    COMMAND.parent.mkdir(parents=True, exist_ok=True)
    return str(maturin.prepare_metadata_for_build_wheel(folder, settings))


def _engine() -> None:
    """Put the engine where maturin looks for commands."""
    if sys.platform != "linux":
        raise SystemExit(f"Nightcore runs on Linux, not on {sys.platform}")
    COMMAND.parent.mkdir(parents=True, exist_ok=True)
    built = os.environ.get("NIGHTCORE_ENGINE")
    if built is None:
        cargo = ["cargo", "build", "--release", "--package", "nightcore-engine"]
        try:
            subprocess.run(cargo, cwd=ROOT, check=True)
        except FileNotFoundError:
            raise SystemExit("cargo is not there: install rustup, see https://rustup.rs") from None
        asked = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
        said = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        found = re.search(r'"target_directory":"([^"]*)"', said)
        assert found is not None, "cargo does not say where it builds"
        built = f"{found[1]}/release/nightcore"
    shutil.copy(built, COMMAND)


def build_sdist(folder: str, _settings: Settings = None) -> str:
    """Pack the sources of the package and of the crates that it is built from."""
    workspace = (ROOT / "Cargo.toml").read_text()
    version = re.search(r'^version = "(.*)"', workspace, re.MULTILINE)
    assert version is not None, "Cargo.toml has no version"
    name = f"nightcore-{version[1]}"
    members = "members = [" + ", ".join(f'"{crate}"' for crate in CRATES) + "]"
    workspace = re.sub(r"members = \[.*?\]", members, workspace, count=1, flags=re.DOTALL)
    project = (PACKAGE / "pyproject.toml").read_text()
    # From the root of the archive.
    below = str(PACKAGE.relative_to(ROOT))
    for key, value in {
        'manifest-path = "../../': 'manifest-path = "',
        'python-source = "': f'python-source = "{below}/',
        'data = "': f'data = "{below}/',
        'readme = "': f'readme = "{below}/',
        'backend-path = ["': f'backend-path = ["{below}/',
    }.items():
        assert project.count(key) == 1, f"pyproject.toml has no {key}"
        project = project.replace(key, value)
    asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *CRATES, below]
    files = subprocess.run(
        asked, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\n")
    texts = {
        "Cargo.toml": workspace,
        "pyproject.toml": project,
        "PKG-INFO": f"Metadata-Version: 2.1\nName: nightcore\nVersion: {version[1]}\n",
    }
    archive = f"{name}.tar.gz"
    with tarfile.open(Path(folder) / archive, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for file in [*filter(None, files), "Cargo.lock", "LICENSE", "rust-toolchain.toml"]:
            if file != f"{below}/pyproject.toml":
                tar.add(ROOT / file, f"{name}/{file}")
        for file, text in texts.items():
            entry = tarfile.TarInfo(f"{name}/{file}")
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return archive
