"""The data folder and its files are for the account that runs Plumbline, and for nobody else."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Creates the data folder with its parents, and shuts it to others (0700), an existing one too."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _shut(folder, 0o700)


def make_file(file: Path) -> None:
    """Creates an empty file (0600) unless it is there, and shuts an existing one to others."""
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    _shut(file, 0o600)


def _shut(path: Path, mode: int) -> None:
    """Leaves alone what belongs to another account: whoever set that up decided so."""
    found = path.stat()
    if found.st_uid == os.getuid() and found.st_mode & 0o077:
        with contextlib.suppress(OSError):  # a file system without rights, such as FAT
            path.chmod(mode)
