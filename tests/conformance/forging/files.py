"""Cases about one file and its bytes: changed, moved, renamed, embedded, or no file at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import struct
import zlib
from pathlib import Path

from forging import handmade
from forging.lab import Lab, case, copy_seal, edit, flip, picture, seal_of

LITTLE_TIFF = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", 1)


@case
def file_intact(lab: Lab, out: Path) -> None:
    lab.sealed(out)


@case
def file_intact_of_a_repository(lab: Lab, out: Path) -> None:
    lab.sealed(out, signer=lab.repository)


@case
def empty_file_intact(lab: Lab, out: Path) -> None:
    (out / "empty.csv").write_bytes(b"")
    lab.seal(out / "empty.csv")


@case
def file_renamed(lab: Lab, out: Path) -> None:
    path = lab.sealed(out)
    seal_of(path).rename(out / "other.tif.c2pa")
    path.rename(out / "other.tif")


@case
def pixel_byte_flipped(lab: Lab, out: Path) -> None:
    flip(lab.sealed(out), 2000)


@case
def metadata_byte_flipped(lab: Lab, out: Path) -> None:
    text = b"exposure 100 ms\0"
    entry = struct.pack("<HHII", 270, 2, len(text), 26)
    path = out / "cells.tif"
    path.write_bytes(LITTLE_TIFF + entry + b"\0\0\0\0" + text + b"pixels" * 50)
    lab.seal(path)
    flip(path, 26 + 9)


@case
def bytes_appended(lab: Lab, out: Path) -> None:
    with lab.sealed(out).open("ab") as stream:
        stream.write(b"\0")


@case
def asset_truncated(lab: Lab, out: Path) -> None:
    os.truncate(lab.sealed(out), 4095)


@case
def asset_emptied(lab: Lab, out: Path) -> None:
    os.truncate(lab.sealed(out), 0)


@case
def seal_of_another_file(lab: Lab, out: Path) -> None:
    one = lab.sealed(out, "one.tif")
    copy_seal(one, lab.data(out, "two.tif", seed=2))


@case
def seal_stripped(lab: Lab, out: Path) -> None:
    seal_of(lab.sealed(out)).unlink()


# Seals inside PNG and JPEG.


def embedded(lab: Lab, out: Path, name: str, *, seed: int = 1) -> Path:
    plain = picture(out, name, seed=seed)
    made = lab.seal(plain, embed=True)
    plain.unlink()
    return made.asset


def chunks(data: bytes) -> list[bytes]:
    found, at = [], 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big") + 12
        found.append(data[at : at + size])
        at += size
    return found


def chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def write_chunks(path: Path, parts: list[bytes]) -> None:
    path.write_bytes(path.read_bytes()[:8] + b"".join(parts))


@case
def embedded_png_intact(lab: Lab, out: Path) -> None:
    embedded(lab, out, "gel.png")


@case
def embedded_jpeg_intact(lab: Lab, out: Path) -> None:
    embedded(lab, out, "gel.jpg")


@case
def embedded_png_pixel_changed(lab: Lab, out: Path) -> None:
    path = embedded(lab, out, "gel.png")
    parts = chunks(path.read_bytes())
    at = next(number for number, part in enumerate(parts) if part[4:8] == b"IDAT")
    pixels = bytearray(zlib.decompress(parts[at][8:-4]))
    pixels[40] ^= 1
    parts[at] = chunk(b"IDAT", zlib.compress(bytes(pixels)))
    write_chunks(path, parts)


@case
def embedded_jpeg_byte_changed(lab: Lab, out: Path) -> None:
    flip(embedded(lab, out, "gel.jpg"), -20)


@case
def embedded_seal_stripped(lab: Lab, out: Path) -> None:
    path = embedded(lab, out, "gel.png")
    write_chunks(path, [part for part in chunks(path.read_bytes()) if part[4:8] != b"caBX"])


@case
def embedded_seal_of_another_picture(lab: Lab, out: Path) -> None:
    one, two = embedded(lab, out, "one.png"), embedded(lab, out, "two.png", seed=2)
    foreign = next(part for part in chunks(two.read_bytes()) if part[4:8] == b"caBX")
    write_chunks(one, [foreign if part[4:8] == b"caBX" else part for part in chunks(one.read_bytes())])
    two.unlink()


@case
def embedded_png_two_seals(lab: Lab, out: Path) -> None:
    path = embedded(lab, out, "gel.png")
    parts = chunks(path.read_bytes())
    at = next(number for number, part in enumerate(parts) if part[4:8] == b"caBX")
    write_chunks(path, [*parts[: at + 1], parts[at], *parts[at + 1 :]])


@case
def embedded_png_chunk_after_end(lab: Lab, out: Path) -> None:
    with embedded(lab, out, "gel.png").open("ab") as stream:
        stream.write(chunk(b"tEXt", b"Comment\0added later"))


@case
def embedded_png_seal_after_end(lab: Lab, out: Path) -> None:
    path = embedded(lab, out, "gel.png")
    parts = chunks(path.read_bytes())
    inside = next(part for part in parts if part[4:8] == b"caBX")
    write_chunks(path, [*(part for part in parts if part is not inside), inside])


@case
def embedded_png_checksum_wrong(lab: Lab, out: Path) -> None:
    path = embedded(lab, out, "gel.png")
    data = path.read_bytes()
    at = data.index(b"caBX") - 4
    flip(path, at + 8 + int.from_bytes(data[at : at + 4], "big"))


@case
def embedded_png_seal_cut_short(lab: Lab, out: Path) -> None:
    path = embedded(lab, out, "gel.png")
    os.truncate(path, path.read_bytes().index(b"caBX") + 500)


@case
def embedded_png_more_left_out(lab: Lab, out: Path) -> None:
    plain = picture(out, "gel.png")
    made = lab.seal(plain, embed=True).asset
    plain.unlink()
    parts = chunks(made.read_bytes())
    at = next(number for number, part in enumerate(parts) if part[4:8] == b"caBX")
    signer = lab.hand(lab.instrument)
    start = 8 + sum(map(len, parts[:at]))

    def forge(length: int) -> bytes:
        # Leave out the seal and, with it, the pixels behind it.
        left_out = [{"start": start, "length": length + sum(map(len, parts[at + 1 : -1]))}]
        digest = hashlib.sha256(made.read_bytes()[:start] + parts[-1]).digest()
        stated = lab.statements(made, signer, hash_data={"exclusions": left_out, "hash": digest, "pad": b""})
        label = "urn:c2pa:00000000-0000-4000-8000-00000000000a"
        return chunk(b"caBX", handmade.store(handmade.manifest([*stated.values()], signer, label=label)))

    parts[at] = forge(len(forge(len(parts[at]))))
    write_chunks(made, parts)


@case
def seal_beside_and_inside(lab: Lab, out: Path) -> None:
    lab.seal(embedded(lab, out, "gel.png"))


# Long metadata in a companion file.


def companion(lab: Lab, out: Path) -> Path:
    path = lab.data(out)
    data = json.dumps({"values": [], "notes": ["long"] * 20_000}).encode()
    (out / "cells.tif.metadata.json").write_bytes(data)
    stated = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "file": "cells.tif.metadata.json",
    }
    lab.handmade(path, lab.hand(lab.instrument), acquisition={"metadata": stated})
    return out / "cells.tif.metadata.json"


@case
def companion_intact(lab: Lab, out: Path) -> None:
    companion(lab, out)


@case
def companion_missing(lab: Lab, out: Path) -> None:
    companion(lab, out).unlink()


@case
def companion_changed(lab: Lab, out: Path) -> None:
    flip(companion(lab, out), 30)


# Names.


@case
def name_with_line_end(lab: Lab, out: Path) -> None:
    lab.sealed(out, "cells\nverified.tif")


@case
def name_that_turns_the_line(lab: Lab, out: Path) -> None:
    lab.sealed(out, "cells\u202efit.exe")


@case
def name_that_is_no_unicode(lab: Lab, out: Path) -> None:
    lab.sealed(out, os.fsdecode(b"cells-\xff.tif"))


@case
def name_of_255_bytes(lab: Lab, out: Path) -> None:
    lab.data(out, "n" * 251 + ".tif")


@case
def name_of_255_bytes_cannot_be_sealed(lab: Lab, out: Path) -> None:
    lab.data(out, "n" * 251 + ".tif")
    shutil.copytree(lab.instrument.folder, out / "instrument")


# No file, or none that can be read.


@case
def file_unreadable(lab: Lab, out: Path) -> None:
    lab.sealed(out).chmod(0)


@case
def seal_unreadable_by_permission(lab: Lab, out: Path) -> None:
    seal_of(lab.sealed(out)).chmod(0)


@case
def folder_that_may_not_be_entered(lab: Lab, out: Path) -> None:
    inner = out / "closed"
    inner.mkdir()
    lab.sealed(inner)
    inner.chmod(0)


@case
def folder_in_place_of_a_file(lab: Lab, out: Path) -> None:
    path = lab.sealed(out)
    path.unlink()
    path.mkdir()
    (path / "pixels").write_bytes(b"something")


@case
def pipe_in_place_of_a_file(lab: Lab, out: Path) -> None:
    os.mkfifo(out / "cells.tif")


@case
def pipe_in_place_of_a_sealed_file(lab: Lab, out: Path) -> None:
    path = lab.sealed(out)
    path.unlink()
    os.mkfifo(path)


@case
def pipe_in_place_of_a_seal(lab: Lab, out: Path) -> None:
    path = lab.sealed(out)
    seal_of(path).unlink()
    os.mkfifo(seal_of(path))


@case
def folder_in_place_of_a_seal(lab: Lab, out: Path) -> None:
    path = lab.sealed(out)
    seal_of(path).unlink()
    seal_of(path).mkdir()


@case
def socket_in_place_of_a_file(lab: Lab, out: Path) -> None:
    before = Path.cwd()
    os.chdir(out)  # the path of a socket may be 100 bytes long
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("cells.tif")
    finally:
        os.chdir(before)


@case
def device_in_place_of_a_file(lab: Lab, out: Path) -> None:
    pass  # the case names /dev/zero, which has no end


@case
def seal_that_links_to_an_endless_device(lab: Lab, out: Path) -> None:
    path = lab.sealed(out)
    seal_of(path).unlink()
    seal_of(path).symlink_to("/dev/zero")


@case
def nothing_at_all(lab: Lab, out: Path) -> None:
    pass


@case
def link_to_nowhere(lab: Lab, out: Path) -> None:
    (out / "cells.tif").symlink_to("nowhere.tif")


@case
def seal_alone(lab: Lab, out: Path) -> None:
    lab.sealed(out).unlink()


@case
def one_bad_path_among_good(lab: Lab, out: Path) -> None:
    lab.sealed(out, "a.tif")
    lab.data(out, "n" * 251 + ".tif")
    os.mkfifo(out / "pipe.tif")
    flip(lab.sealed(out, "z.tif"), 1)


@case
def seal_with_padding(lab: Lab, out: Path) -> None:
    path = lab.sealed(out)

    def pad(root: handmade.Part) -> None:
        root.parts.insert(1, handmade.Part(b"free", b"\0" * 64))

    edit(seal_of(path), pad)
