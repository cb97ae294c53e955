"""An identity's folder from a stranger names a library: it is loaded only if it is installed, or was named by us."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rawtrace import config, strictjson
from rawtrace.errors import KeyUnavailableError
from rawtrace.trust import keys, modules
from rawtrace.trust.modules import accept_module, check_module


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(config.CONFIG_VARIABLE, str(tmp_path / "settings"))
    path = tmp_path / "evil.so"
    path.write_bytes(b"not to be loaded")
    path.chmod(0o644)
    return path


def test_a_library_beside_a_strangers_folder_is_not_loaded_fail(tmp_path: Path, module: Path) -> None:
    folder = tmp_path / "stranger"
    folder.mkdir()
    pointer = {"kind": "pkcs11", "module": str(module), "token": "t", "key": "k", "pin_file": str(tmp_path / "pin")}
    (folder / keys.KEY_POINTER).write_bytes(strictjson.dumps(pointer))
    (folder / keys.KEY_POINTER).chmod(0o600)
    pytest.importorskip("pkcs11", reason="python-pkcs11 (the extra hsm) is not installed")
    with pytest.raises(KeyUnavailableError, match="it is not loaded") as caught:
        keys.open_in_folder(folder)
    assert modules.ACCEPTED_FILE in caught.value.hint


def test_a_library_that_was_named_is_remembered(module: Path) -> None:
    with pytest.raises(KeyUnavailableError):
        check_module(module)
    check_module(module, named=True)
    accept_module(module)
    accept_module(module)
    check_module(module)
    assert (config.config_folder() / modules.ACCEPTED_FILE).read_text() == f"{module}\n"


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes mean nothing on Windows")
def test_a_library_that_others_can_change_is_refused_even_if_named_fail(module: Path) -> None:
    accept_module(module)
    module.chmod(0o666)
    with pytest.raises(KeyUnavailableError, match="changed by other accounts"):
        check_module(module, named=True)


def test_a_link_from_an_installed_place_does_not_help_fail(
    tmp_path: Path, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "lib"
    installed.mkdir()
    monkeypatch.setattr(modules, "_INSTALLED", (str(installed),))
    try:
        (installed / "token.so").symlink_to(module)
    except OSError:
        pytest.skip("this account may not make links")
    with pytest.raises(KeyUnavailableError, match="it is not loaded"):
        check_module(installed / "token.so")


def test_a_missing_library_is_named_fail(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailableError, match="there is no PKCS#11 module"):
        check_module(tmp_path / "nothing.so", named=True)
