"""Folders that hold programs: what is loaded from there runs as this user."""

import grp
import os
import pwd
import stat
from pathlib import Path


def make_private(folder: Path) -> str | None:
    """Makes a folder that nobody else can write to, if it is not there.

    Returns:
      What is wrong with it, so that it must not be used; None if nothing is.
    """
    folder = folder.absolute()
    try:
        for missing in [each for each in (folder, *folder.parents) if not each.exists()][::-1]:
            missing.mkdir(mode=0o700, exist_ok=True)
        if not os.access(folder, os.W_OK):
            return f"{folder} cannot be written"
        return _problem(folder)
    except OSError as error:
        return f"{folder} cannot be made ({error.strerror})"


def is_private(file: Path) -> bool:
    """Whether a file is one of this user's own, and nobody else can write to it."""
    about = file.lstat()
    return stat.S_ISREG(about.st_mode) and _is_ours(about)


def _problem(folder: Path) -> str | None:
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode):
        return f"{folder} is not a folder itself"  # a link could be turned to another one
    if not _is_ours(about):
        return f"{folder} belongs to another user, or others can write to it"
    # Who can rename a folder on the way puts another one in its place.
    for parent in {*folder.parents, *folder.resolve().parents}:
        about = parent.stat()
        shared = _others_write(about) and not about.st_mode & stat.S_ISVTX
        if shared or about.st_uid not in (0, os.getuid()):
            return f"{folder} stands in {parent}, where others can exchange it"
    return None


def _is_ours(about: os.stat_result) -> bool:
    return about.st_uid == os.getuid() and not _others_write(about)


def _others_write(about: os.stat_result) -> bool:
    if about.st_mode & stat.S_IWOTH:
        return True
    return bool(about.st_mode & stat.S_IWGRP) and not _is_own_group(about.st_gid)


def _is_own_group(number: int) -> bool:
    """Whether a group is the user's alone, as many systems make one, with a umask of 002."""
    try:
        group, user = grp.getgrgid(number), pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
