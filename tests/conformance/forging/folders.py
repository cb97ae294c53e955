"""Cases about folders and their indexes, damaged on disk or wrong though properly sealed."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from forging.lab import Lab, case, flip, seal_of


def zarr(out: Path, name: str = "cells.zarr", *, first: bytes = b"chunk a") -> Path:
    folder = out / name
    (folder / "0").mkdir(parents=True)
    (folder / "zarr.json").write_bytes(b'{"zarr_format":3,"node_type":"group"}')
    (folder / "0" / "0.0").write_bytes(first)
    (folder / "0" / "0.1").write_bytes(b"chunk b")
    return folder


def sealed_zarr(lab: Lab, out: Path) -> Path:
    folder = zarr(out)
    lab.seal(folder)
    return folder


def with_index(lab: Lab, out: Path, *lines: bytes, end: bytes = b"\n") -> Path:
    """A folder whose index holds these lines and is properly sealed all the same."""
    folder = zarr(out)
    index = out / "cells.zarr.sha256"
    index.write_bytes(end.join(lines) + end)
    lab.handmade(
        index, lab.hand(lab.instrument), acquisition={"name": "cells.zarr", "kind": "folder", "members": len(lines)}
    )
    return folder


def line(path: bytes, content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode() + b"  " + path


CHUNK_A = line(b"cells.zarr/0/0.0", b"chunk a")
CHUNK_B = line(b"cells.zarr/0/0.1", b"chunk b")
GROUP = line(b"cells.zarr/zarr.json", b'{"zarr_format":3,"node_type":"group"}')


@case
def folder_intact(lab: Lab, out: Path) -> None:
    sealed_zarr(lab, out)


@case
def folder_intact_by_hand(lab: Lab, out: Path) -> None:
    with_index(lab, out, CHUNK_A, CHUNK_B, GROUP)


@case
def folder_names_escaped(lab: Lab, out: Path) -> None:
    folder = zarr(out)
    for name in (b"line\nend", b"back\\slash", b"carriage\rreturn", b"no-unicode-\xff", "rtl-\u202e".encode()):
        (folder / os.fsdecode(name)).write_bytes(name)
    lab.seal(folder)


@case
def folder_renamed_with_its_index(lab: Lab, out: Path) -> None:
    folder = sealed_zarr(lab, out)
    folder.rename(out / "plate-7.zarr")
    for suffix in (".sha256", ".sha256.c2pa"):
        (out / f"cells.zarr{suffix}").rename(out / f"plate-7.zarr{suffix}")


@case
def folder_with_litter(lab: Lab, out: Path) -> None:
    folder = sealed_zarr(lab, out)
    for name in (".DS_Store", "Thumbs.db", "._0"):
        (folder / name).write_bytes(b"litter")


@case
def folder_with_new_empty_folder(lab: Lab, out: Path) -> None:
    (sealed_zarr(lab, out) / "1").mkdir()


@case
def member_missing(lab: Lab, out: Path) -> None:
    (sealed_zarr(lab, out) / "0" / "0.1").unlink()


@case
def member_extra(lab: Lab, out: Path) -> None:
    (sealed_zarr(lab, out) / "0" / "0.2").write_bytes(b"never recorded")


@case
def member_changed(lab: Lab, out: Path) -> None:
    flip(sealed_zarr(lab, out) / "0" / "0.0", 0)


@case
def member_renamed(lab: Lab, out: Path) -> None:
    folder = sealed_zarr(lab, out)
    (folder / "0" / "0.1").rename(folder / "0" / "0.9")


@case
def member_copied_over_another(lab: Lab, out: Path) -> None:
    folder = sealed_zarr(lab, out)
    shutil.copyfile(folder / "0" / "0.0", folder / "0" / "0.1")


@case
def members_swapped(lab: Lab, out: Path) -> None:
    folder = sealed_zarr(lab, out) / "0"
    (folder / "0.0").rename(folder / "x")
    (folder / "0.1").rename(folder / "0.0")
    (folder / "x").rename(folder / "0.1")


@case
def member_replaced_by_a_link(lab: Lab, out: Path) -> None:
    member = sealed_zarr(lab, out) / "0" / "0.0"
    member.rename(out / "elsewhere")
    member.symlink_to("../../elsewhere")


@case
def member_folder_replaced_by_a_link(lab: Lab, out: Path) -> None:
    folder = sealed_zarr(lab, out)
    (folder / "0").rename(out / "elsewhere")
    (folder / "0").symlink_to("../elsewhere")


@case
def member_replaced_by_a_pipe(lab: Lab, out: Path) -> None:
    member = sealed_zarr(lab, out) / "0" / "0.0"
    member.unlink()
    os.mkfifo(member)


@case
def member_unreadable(lab: Lab, out: Path) -> None:
    (sealed_zarr(lab, out) / "0" / "0.0").chmod(0)


@case
def folder_nested_70_deep(lab: Lab, out: Path) -> None:
    folder = sealed_zarr(lab, out)
    deep = folder.joinpath(*["d"] * 70)
    deep.mkdir(parents=True)


@case
def folder_emptied(lab: Lab, out: Path) -> None:
    folder = sealed_zarr(lab, out)
    shutil.rmtree(folder)
    folder.mkdir()


@case
def folder_missing(lab: Lab, out: Path) -> None:
    shutil.rmtree(sealed_zarr(lab, out))


@case
def folder_missing_index_named(lab: Lab, out: Path) -> None:
    shutil.rmtree(sealed_zarr(lab, out))


@case
def folder_replaced_by_a_file(lab: Lab, out: Path) -> None:
    folder = sealed_zarr(lab, out)
    shutil.rmtree(folder)
    folder.write_bytes(b"a file")


@case
def folder_without_seal(lab: Lab, out: Path) -> None:
    zarr(out)


@case
def folder_empty_cannot_be_sealed(lab: Lab, out: Path) -> None:
    (out / "cells.zarr").mkdir()
    shutil.copytree(lab.instrument.folder, out / "instrument")


@case
def folder_with_link_cannot_be_sealed(lab: Lab, out: Path) -> None:
    (zarr(out) / "secret").symlink_to("/etc/hostname")
    shutil.copytree(lab.instrument.folder, out / "instrument")


@case
def index_missing(lab: Lab, out: Path) -> None:
    sealed_zarr(lab, out)
    (out / "cells.zarr.sha256").unlink()


@case
def index_edited(lab: Lab, out: Path) -> None:
    folder = sealed_zarr(lab, out)
    (folder / "0" / "0.0").write_bytes(b"chunk A")
    index = out / "cells.zarr.sha256"
    index.write_bytes(b"\n".join((line(b"cells.zarr/0/0.0", b"chunk A"), CHUNK_B, GROUP)) + b"\n")


@case
def index_is_a_pipe(lab: Lab, out: Path) -> None:
    sealed_zarr(lab, out)
    (out / "cells.zarr.sha256").unlink()
    os.mkfifo(out / "cells.zarr.sha256")


@case
def index_leads_out_of_the_folder(lab: Lab, out: Path) -> None:
    (out / "secret").write_bytes(b"secret")
    with_index(lab, out, line(b"cells.zarr/../secret", b"secret"), CHUNK_A, CHUNK_B, GROUP)


@case
def index_names_absolute_path(lab: Lab, out: Path) -> None:
    with_index(lab, out, line(b"/etc/hostname", b""), CHUNK_A, CHUNK_B, GROUP)


@case
def index_names_a_drive(lab: Lab, out: Path) -> None:
    with_index(lab, out, line(b"C:/cells.zarr/0", b""), CHUNK_A)


@case
def index_names_two_folders(lab: Lab, out: Path) -> None:
    with_index(lab, out, CHUNK_A, line(b"other.zarr/0", b""))


@case
def index_names_a_link(lab: Lab, out: Path) -> None:
    (out / "elsewhere").write_bytes(b"linked")
    folder = with_index(lab, out, CHUNK_A, CHUNK_B, line(b"cells.zarr/link", b"linked"), GROUP)
    (folder / "link").symlink_to("../elsewhere")


@case
def index_with_a_member_twice(lab: Lab, out: Path) -> None:
    with_index(lab, out, CHUNK_A, CHUNK_A, CHUNK_B, GROUP)


@case
def index_unsorted(lab: Lab, out: Path) -> None:
    with_index(lab, out, CHUNK_B, CHUNK_A, GROUP)


@case
def index_with_windows_line_ends(lab: Lab, out: Path) -> None:
    with_index(lab, out, CHUNK_A, CHUNK_B, GROUP, end=b"\r\n")


@case
def index_with_unicode_twins(lab: Lab, out: Path) -> None:
    one, two = "\u00e9".encode(), "e\u0301".encode()
    lines = sorted([line(b"cells.zarr/" + one, b""), line(b"cells.zarr/" + two, b"")], key=lambda item: item[66:])
    with_index(lab, out, *lines)


@case
def index_with_unknown_escape(lab: Lab, out: Path) -> None:
    with_index(lab, out, b"\\" + line(b"cells.zarr/0/\\x41", b""))


@case
def index_with_a_comment(lab: Lab, out: Path) -> None:
    with_index(lab, out, b"# made by hand", CHUNK_A, CHUNK_B, GROUP)


@case
def index_empty(lab: Lab, out: Path) -> None:
    folder = with_index(lab, out, CHUNK_A)
    index = folder.with_name("cells.zarr.sha256")
    index.write_bytes(b"")
    seal_of(index).unlink()
    lab.handmade(index, lab.hand(lab.instrument), acquisition={"name": "cells.zarr", "kind": "folder"})


@case
def index_without_last_line_end(lab: Lab, out: Path) -> None:
    folder = with_index(lab, out, CHUNK_A)
    index = folder.with_name("cells.zarr.sha256")
    index.write_bytes(CHUNK_A)
    lab.handmade(index, lab.hand(lab.instrument), acquisition={"name": "cells.zarr", "kind": "folder"})


@case
def index_of_an_ordinary_name(lab: Lab, out: Path) -> None:
    path = out / "checksums.sha256"
    path.write_bytes(CHUNK_A + b"\n")
    lab.seal(path)
