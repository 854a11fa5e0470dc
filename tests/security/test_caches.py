"""A folder of programs that another user can write to, or exchange, is not used."""

import os

import jax
import pytest

from lstm_jax.cli.arguments import use_compilation_cache
from lstm_jax.kernels.native import library
from lstm_jax.private_folder import is_private, make_private


def test_a_new_folder_is_private_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        folder = tmp_path / "a" / "b"
        assert make_private(folder) is None
    finally:
        os.umask(before)
    assert [each.stat().st_mode & 0o777 for each in (folder, folder.parent)] == [0o700, 0o700]


def world_writable(folder):
    folder.mkdir(parents=True)
    folder.chmod(0o777)


def in_one_that_is(folder):
    folder.mkdir(parents=True)
    folder.parent.chmod(0o777)


def a_link(folder):
    folder.parent.mkdir(parents=True)
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to("elsewhere")


def of_another_user(folder):
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    folder.mkdir(parents=True)
    os.chown(folder, 12345, 12345)


def a_file(folder):
    folder.parent.mkdir(parents=True)
    folder.write_text("")


NAME = "jax_compilation_cache_dir"
HOSTILE = {
    world_writable: "others can write to it",
    in_one_that_is: "where others can exchange it",
    a_link: "is not a folder itself",
    of_another_user: "belongs to another user",
    a_file: "is not a folder itself",
}


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_a_hostile_folder_is_told_and_not_used(tmp_path, monkeypatch, capsys, make):
    home = tmp_path / "cache"
    home.mkdir(mode=0o700)
    make(home / "lstm_jax" / "native")
    problem = make_private(home / "lstm_jax" / "native")
    assert problem is not None
    assert HOSTILE[make] in problem
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    monkeypatch.setattr(library.tempfile, "gettempdir", lambda: str(tmp_path))
    assert library.cache_folder().parent == tmp_path  # not the hostile one
    make(home / "other" / "lstm_jax" / "compiled")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "other"))
    kept = getattr(jax.config, NAME)
    jax.config.update(NAME, None)
    try:
        use_compilation_cache()
        assert getattr(jax.config, NAME) is None
    finally:
        jax.config.update(NAME, kept)
    assert HOSTILE[make] in capsys.readouterr().err


def test_a_library_that_others_can_write_is_compiled_anew(tmp_path, monkeypatch):
    nonsense = tmp_path / "cc"
    nonsense.write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done; echo mine > "$2"\n')
    nonsense.chmod(0o700)
    monkeypatch.setenv("CXX", str(nonsense))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = library.build()
    path.write_text("theirs")
    assert library.build().read_text() == "theirs"  # a private one is taken as it is
    path.chmod(0o777)
    assert library.build().read_text() == "mine\n"
    path.unlink()
    path.symlink_to(nonsense)
    assert library.build().read_text() == "mine\n"
    assert is_private(path)
