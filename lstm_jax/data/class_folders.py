"""Files in a folder for each class, whatever they hold."""

from collections.abc import Callable, Sequence
from pathlib import Path

from lstm_jax.errors import UserError


def class_files(
    where: str,
    root: Path,
    list_files: Callable[[Path], Sequence[Path]],
    kind: str,
    *,
    classes: Sequence[str] = (),
    hidden: str = "",
) -> list[tuple[Path, str]]:
    """Every file of every class folder, with the name of its folder, in the order of their names.

    Args:
      where: the field of the config that names the folder, for messages.
      root: the folder of the class folders.
      list_files: the files of a class folder that count, in order.
      kind: what such files are called in messages.
      classes: the class folders to read; all, if none is named.
      hidden: first letters of folders that are none of a class.

    Raises:
      UserError: there is no such folder, no class in it, or a class without a file.
    """
    if not root.is_dir():
        raise UserError(f"{where}: {root} is no folder")
    folders = [root / name for name in classes] or sorted(
        entry for entry in root.iterdir() if entry.is_dir() and entry.name[0] not in hidden
    )
    if not folders:
        raise UserError(f"{where}: {root} holds no folder; a folder for each class is needed")
    found = []
    for folder in folders:
        files = list_files(folder)
        if not files:
            raise UserError(f"{where}: {folder} holds no {kind}")
        found += [(file, folder.name) for file in files]
    return found
