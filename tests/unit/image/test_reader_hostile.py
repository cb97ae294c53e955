"""Images that promise what they do not hold, point elsewhere or are damaged: one sentence, soon, in little memory."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from rawtrace.errors import Error, LimitError, PixelsError
from rawtrace.image.reader import PlaneIndex, open_image

Maker = Callable[..., Path]


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 << 20


def read_all(path: Path, *, most: int = 50) -> None:
    """Read the first planes of every scene."""
    with open_image(path) as image:
        for scene in image.scenes[:5]:
            for number, plane in enumerate(scene.walk()):
                if number == most:
                    break
                for _ in image.bands(scene, plane):
                    pass


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


def tiff_of(entries: list[bytes], *, following: int = 0, tail: bytes = b"") -> bytes:
    body = struct.pack("<H", len(entries)) + b"".join(sorted(entries, key=lambda e: e[:2][::-1]))
    return b"II*\x00" + struct.pack("<I", 8) + body + struct.pack("<I", following) + tail


def simple(width: int = 4, height: int = 4, **other: int) -> list[bytes]:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: height, 279: min(width * height, 64)}
    tags.update({int(key[1:]): value for key, value in other.items()})
    return [entry(tag, 4, 1, value) for tag, value in tags.items()]


def says(path: Path, text: str, kind: type[Error] = PixelsError) -> None:
    with pytest.raises(kind) as found:
        read_all(path)
    assert text in found.value.message, found.value.message


# -- TIFF ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        (simple(1 << 30, 1 << 30), "promises"),
        (simple(0, 4), "no pixels"),
        (simple(4, 0), "no pixels"),
        (simple(1 << 20, 1 << 20, t259=8), "unpacks to"),
        (simple(1 << 15, 1 << 15, t259=8), "unpacks to"),
        (simple(1 << 10, 1 << 10, t278=1), "strips or tiles"),
        (simple(4, 4, t273=1 << 31), "the file ends"),
        (simple(4, 4, t277=70_000), "no pixels"),
        (simple(4, 4, t258=7_777), "not read"),
        (simple(4, 4, t339=5), "not read"),
        (simple(4, 4, t259=9_999), "cannot be read"),
        (simple(4, 4, t32997=9), "volume"),
    ],
)
def test_tiff_headers_that_promise_too_much_fail(tmp_path: Path, entries: list[bytes], text: str) -> None:
    path = tmp_path / "odd.tif"
    path.write_bytes(tiff_of(entries, tail=bytes(64)))
    with pytest.raises((PixelsError, LimitError)) as found:
        read_all(path)
    assert text in found.value.message, found.value.message
    assert path.name in found.value.message or "plane z=0, c=0, t=0 of scene 0" in found.value.message


def test_tiff_directories_in_a_circle_fail(tmp_path: Path) -> None:
    path = tmp_path / "circle.tif"
    path.write_bytes(tiff_of(simple(t273=8), following=8, tail=bytes(64)))
    with open_image(path) as image:
        assert image.scenes[0].planes == 1
        assert any("breaks off" in note for note in image.notes)


def test_tiff_strips_of_one_row_by_the_million_fail(tmp_path: Path) -> None:
    path = tmp_path / "rows.tif"
    many = [each for each in simple(1, 50_000_000, t278=1) if each[:2] not in {b"\x11\x01", b"\x17\x01"}]
    path.write_bytes(tiff_of([*many, entry(273, 4, 50_000_000, 8), entry(279, 4, 50_000_000, 8)], tail=bytes(200)))
    says(path, "strips or tiles", LimitError)


@pytest.mark.parametrize("packing", ["zlib", "lzw", "zstd", "packbits"])
def test_tiff_strips_that_unfold_too_far_fail(tmp_path: Path, packing: str) -> None:
    import imagecodecs

    encode = {
        "zlib": imagecodecs.zlib_encode,
        "lzw": imagecodecs.lzw_encode,
        "zstd": imagecodecs.zstd_encode,
        "packbits": imagecodecs.packbits_encode,
    }[packing]
    number = {"zlib": 8, "lzw": 5, "zstd": 50_000, "packbits": 32_773}[packing]
    data = encode(bytes((1 << 17) if packing in {"lzw", "packbits"} else (40 << 20)))
    path = tmp_path / "bomb.tif"
    begin = 8 + 2 + 12 * 9 + 4
    path.write_bytes(tiff_of(simple(64, 64, t259=number, t273=begin, t279=len(data)), tail=data))
    tracemalloc.clear_traces()
    tracemalloc.reset_peak()
    # Some decoders stop at the right size; what matters is that none goes on.
    with contextlib.suppress(Error):
        read_all(path)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20


def test_truncated_tiff_names_the_plane_fail(tmp_path: Path) -> None:
    path = tmp_path / "cut.ome.tif"
    tifffile.imwrite(path, np.ones((3, 40, 50), np.uint16), metadata={"axes": "ZYX"})
    whole = path.read_bytes()
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[1].dataoffsets[0]
    path.write_bytes(whole[: offset + 100])
    with pytest.raises(PixelsError) as found:
        read_all(path)
    assert "cannot be read" in found.value.message


@pytest.mark.parametrize("packing", ["zlib", "lzw", "zstd", "jpeg"])
def test_damaged_tiles_name_the_plane_fail(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "bad.ome.tif"
    pixels = np.random.default_rng(1).integers(0, 255, (3, 64, 64), dtype=np.uint8)
    tifffile.imwrite(path, pixels, metadata={"axes": "ZYX"}, tile=(32, 32), compression=packing)
    with tifffile.TiffFile(path) as tif:
        offset, count = tif.pages[2].dataoffsets[1], tif.pages[2].databytecounts[1]
    data = bytearray(path.read_bytes())
    data[offset : offset + count] = b"\xaa" * count
    path.write_bytes(data)
    with open_image(path) as image:
        image.plane(image.scenes[0], PlaneIndex(z=1))
        with pytest.raises(PixelsError, match=r"plane z=2, c=0, t=0 of scene 0 cannot be read: ."):
            image.plane(image.scenes[0], PlaneIndex(z=2))


OME = (
    '<OME UUID="urn:uuid:00000000-0000-4000-8000-000000000001"><Image><Pixels SizeX="4" SizeY="4" SizeZ="{z}" '
    'SizeC="{c}" SizeT="{t}" Type="uint8" DimensionOrder="XYZCT">{data}</Pixels></Image></OME>'
)


def ome(path: Path, data: str = "", *, z: int = 1, c: int = 1, t: int = 1, planes: int = 1) -> Path:
    with tifffile.TiffWriter(path, ome=False, shaped=False) as writer:
        for number in range(planes):
            text = OME.format(z=z, c=c, t=t, data=data).encode() if number == 0 else None
            writer.write(np.full((4, 4), number, np.uint8), description=text, metadata=None, contiguous=False)
    return path


@pytest.mark.parametrize("sizes", [{"z": 2**31}, {"t": 2**62}, {"c": 10**6, "t": 10**6}])
def test_ome_that_promises_more_planes_than_are_read_fail(tmp_path: Path, sizes: dict[str, int]) -> None:
    says(ome(tmp_path / "huge.ome.tif", **sizes), "planes", LimitError)


def test_ome_that_promises_more_planes_than_the_file_has_fail(tmp_path: Path) -> None:
    says(
        ome(tmp_path / "few.ome.tif", "<TiffData/>", z=3, t=1_000, planes=2),
        "plane z=0, c=0, t=1 of scene 0 cannot be read: few.ome.tif has 2 pages",
    )


def test_ome_that_leaves_a_plane_out_fail(tmp_path: Path) -> None:
    path = ome(tmp_path / "gap.ome.tif", '<TiffData IFD="0"/><TiffData FirstZ="2" IFD="1"/>', z=3, planes=2)
    says(path, "plane z=1, c=0, t=0 of scene 0 cannot be read: the OME-XML does not say where it is")


def test_one_page_for_millions_of_planes_fail(tmp_path: Path) -> None:
    path = tmp_path / "same.ome.tif"
    text = OME.format(z=4_000_000, c=1, t=1, data='<TiffData IFD="0"/>').replace('SizeX="4" SizeY="4"', "").encode()
    tifffile.imwrite(path, np.zeros((1_000, 1_000), np.uint8), description=text, metadata=None, compression="zlib")
    says(path, "promises", LimitError)


@pytest.mark.parametrize(
    "name",
    ["../secret.tif", "/etc/passwd", "..", "", "a/b.tif", "C:\\secret.tif", "..\\secret.tif", "x&#10;y.tif", "n" * 300],
)
def test_companions_outside_the_folder_are_not_opened_fail(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    ome(tmp_path / "secret.tif")
    block = f'<TiffData FirstZ="1" IFD="0"><UUID FileName="{name}">urn:uuid:2</UUID></TiffData>'
    own = '<TiffData IFD="0"><UUID FileName="a.ome.tif">urn:uuid:00000000-0000-4000-8000-000000000001</UUID></TiffData>'
    path = ome(folder / "a.ome.tif", own + block, z=2)
    if name == "":
        read_all(path)
        return
    says(path, "plane z=1, c=0, t=0 of scene 0 cannot be read: the OME-XML says that it is in ")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_companions_that_are_links_out_of_the_folder_are_not_opened_fail(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    ome(tmp_path / "secret.tif")
    (folder / "b.ome.tif").symlink_to(tmp_path / "secret.tif")
    own = '<TiffData IFD="0"><UUID FileName="a.ome.tif">urn:uuid:00000000-0000-4000-8000-000000000001</UUID></TiffData>'
    block = '<TiffData FirstZ="1" IFD="0"><UUID FileName="b.ome.tif">urn:uuid:2</UUID></TiffData>'
    says(ome(folder / "a.ome.tif", own + block, z=2), "link out of the folder")


def test_a_companion_for_millions_of_planes_fail(tmp_path: Path) -> None:
    block = '<TiffData FirstZ="{z}" IFD="0"><UUID FileName="{name}">urn:uuid:{z}</UUID></TiffData>'
    data = '<TiffData IFD="0"/>' + "".join(block.format(z=z, name="b.tif") for z in (1, 2))
    text = OME.format(z=4_000_000, c=1, t=1, data=data).replace('SizeX="4" SizeY="4"', "").encode()
    for name in ("a.ome.tif", "b.tif"):
        tifffile.imwrite(
            tmp_path / name, np.zeros((1_000, 1_000), np.uint8), description=text, metadata=None, compression="zlib"
        )
    says(tmp_path / "a.ome.tif", "promises", LimitError)


def test_missing_companion_is_named_with_its_plane_fail(tmp_path: Path) -> None:
    own = '<TiffData IFD="0"><UUID FileName="a.ome.tif">urn:uuid:00000000-0000-4000-8000-000000000001</UUID></TiffData>'
    block = '<TiffData FirstZ="1" IFD="0"><UUID FileName="b.ome.tif">urn:uuid:2</UUID></TiffData>'
    says(ome(tmp_path / "a.ome.tif", own + block, z=2), "in b.ome.tif, which is not in the folder")


# -- Zarr ---------------------------------------------------------------------------------------------


def zarr3(
    root: Path,
    *,
    shape: tuple[int, ...] = (4, 6),
    chunks: tuple[int, ...] = (4, 6),
    codecs: list[dict[str, Any]] | None = None,
    dtype: str = "uint8",
    path: str = "0",
    fill: object = 0,
) -> Path:
    (root / "0").mkdir(parents=True, exist_ok=True)
    names = "tczyx"[-len(shape) :]
    ms = {"axes": [{"name": name} for name in names], "datasets": [{"path": path}]}
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"version": "0.5", "multiscales": [ms]}}}
    array = {
        "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": dtype, "fill_value": fill,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "chunk_key_encoding": {"name": "default"}, "codecs": codecs or [{"name": "bytes"}],
    }  # fmt: skip
    (root / "zarr.json").write_text(json.dumps(group))
    (root / "0" / "zarr.json").write_text(json.dumps(array))
    return root


def chunk(root: Path, data: bytes, *index: int) -> None:
    place = root / "0" / "c" / "/".join(str(each) for each in index)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"shape": (1 << 30, 1 << 30), "chunks": (1 << 10, 1 << 10)}, "promises"),
        ({"shape": (1 << 60, 4, 6), "chunks": (1, 4, 6)}, "promises"),
        ({"shape": (1 << 20, 1 << 20), "chunks": (1 << 20, 1 << 20)}, "unpacks to"),
        ({"shape": (0, 6)}, "no pixels"),
        ({"dtype": "r16"}, "of a type"),
        ({"dtype": "object"}, "of a type"),
        ({"codecs": [{"name": "bytes"}, {"name": "pickle"}]}, "packed with pickle"),
        ({"codecs": [{"name": "bytes"}, *[{"name": "gzip"}] * 20]}, "one over another"),
        ({"path": "../../elsewhere"}, "outside the folder"),
        ({"path": "1"}, "not there"),
        ({"codecs": [{"name": "transpose", "configuration": {"order": [0, 0]}}, {"name": "bytes"}]}, "order"),
        (
            {"codecs": [{"name": "sharding_indexed", "configuration": {"chunk_shape": [3, 5], "codecs": []}}]},
            "do not fit",
        ),
    ],
)
def test_zarr_that_promises_too_much_or_points_elsewhere_fail(
    tmp_path: Path, options: dict[str, Any], text: str
) -> None:
    root = zarr3(tmp_path / "odd.zarr", **options)
    with pytest.raises((PixelsError, LimitError)) as found:
        read_all(root)
    assert text in found.value.message, found.value.message


def test_chunks_of_wrong_size_fail(tmp_path: Path) -> None:
    root = zarr3(tmp_path / "a.zarr", shape=(2, 4, 6), chunks=(1, 4, 6))
    chunk(root, bytes(24), 0, 0, 0)
    chunk(root, bytes(23), 1, 0, 0)
    says(root, "plane z=1, c=0, t=0 of scene 0 cannot be read: a chunk holds 23 bytes and should hold 24")
    chunk(root, bytes(1 << 20), 1, 0, 0)
    says(root, "more than the chunk can need")


@pytest.mark.parametrize("codec", ["gzip", "zstd", "blosc", "crc32c"])
def test_damaged_chunks_fail(tmp_path: Path, codec: str) -> None:
    root = zarr3(tmp_path / "a.zarr", codecs=[{"name": "bytes"}, {"name": codec}])
    for data in (b"", b"\xaa" * 3, b"\xaa" * 40, bytes(40), b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 20):
        chunk(root, data, 0, 0)
        says(root, "plane z=0, c=0, t=0 of scene 0 cannot be read")


@pytest.mark.parametrize("codec", ["gzip", "zstd", "blosc", "lz4", "bz2", "zstd-stream"])
def test_chunks_that_unfold_too_far_fail(tmp_path: Path, codec: str) -> None:
    import numcodecs

    much = bytes(40 << 20)
    packed = {
        "gzip": lambda: zlib.compress(much, 1, wbits=31),
        "zstd": lambda: numcodecs.Zstd().encode(much),
        "blosc": lambda: numcodecs.Blosc().encode(much),
        "lz4": lambda: numcodecs.LZ4().encode(much),
        "bz2": lambda: numcodecs.BZ2(1).encode(much[: 20 << 20]),
        "zstd-stream": lambda: _stream(numcodecs.Zstd().encode(much)),
    }[codec]()
    root = zarr3(tmp_path / "a.zarr", codecs=[{"name": "bytes"}, {"name": codec.partition("-")[0]}])
    chunk(root, bytes(packed), 0, 0)
    begun = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    says(root, "plane z=0, c=0, t=0 of scene 0 cannot be read")
    assert tracemalloc.get_traced_memory()[1] - begun < 8 << 20


def _stream(data: bytes) -> bytes:
    """Take the size out of a frame's header, as programs write them that do not know it in advance."""
    assert data[4] >> 5 == 0b100
    return data[:4] + bytes([data[4] & 0x1F]) + data[5:6] + data[10:]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_links_out_of_the_folder_are_not_followed_fail(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(24))
    root = zarr3(tmp_path / "a.zarr")
    (root / "0" / "c" / "0").mkdir(parents=True)
    (root / "0" / "c" / "0" / "0").symlink_to(tmp_path / "secret")
    says(root, "a link in the Zarr folder leads outside it")


def test_shard_with_an_index_that_lies_fail(tmp_path: Path) -> None:
    sharding = {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": [2, 6], "codecs": [{"name": "bytes"}],
            "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        },
    }  # fmt: skip
    root = zarr3(tmp_path / "a.zarr", codecs=[sharding])
    for index in ((0, 12, 12, 12), (0, 12, 1 << 40, 12), (0, 12, (1 << 63) + 5, 12), (0, 12, 0, 1 << 40)):
        chunk(root, bytes(24) + struct.pack("<4Q", *index), 0, 0)
        if index[2:] == (12, 12):
            read_all(root)
        else:
            says(root, "points beyond its end")
    chunk(root, b"short", 0, 0)
    says(root, "too short for its index")


# -- pictures -----------------------------------------------------------------------------------------


def test_png_that_promises_gigapixels_fail(tmp_path: Path) -> None:
    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for width, height in ((1 << 30, 1 << 30), (60_000, 60_000), (0, 5)):
        head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        data = b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(bytes(99))) + part(b"IEND", b"")
        path = tmp_path / "huge.png"
        path.write_bytes(data)
        with pytest.raises((PixelsError, LimitError)):
            read_all(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif"])
def test_truncated_pictures_fail(tmp_path: Path, suffix: str) -> None:
    from PIL import Image

    path = tmp_path / f"cut.{suffix}"
    noise = np.random.default_rng(2).integers(0, 255, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises((PixelsError, Error)) as found:
        read_all(path)
    assert "plane z=0" in found.value.message or path.name in found.value.message


def test_what_is_no_image_fail(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no image")
    says(path, "is not an image of a format that is read here (text)")
    (tmp_path / "folder").mkdir()
    says(tmp_path / "folder", "is not an image of a format that is read here (folder)")
    path = tmp_path / "empty.tif"
    path.write_bytes(b"II*\x00\x00\x00\x00\x00")
    says(path, "no directory yet")


def test_a_plane_that_is_not_there_fail(ome_tiff: Maker) -> None:
    with open_image(ome_tiff()) as image:
        for plane in (PlaneIndex(z=3), PlaneIndex(c=2), PlaneIndex(t=-1)):
            with pytest.raises(PixelsError, match="is not there"):
                image.plane(image.scenes[0], plane)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("place", ["0/zarr.json", "0/c/0/0/0/0/0"])
def test_a_pipe_in_a_zarr_folder_is_not_waited_for_fail(ome_zarr: Maker, place: str) -> None:
    path = ome_zarr()
    pipe = path / place
    pipe.unlink(missing_ok=True)
    pipe.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(pipe)
    with pytest.raises(Error, match="not a regular file"):
        read_all(path)


def zarr_of(path: Path, shape: list[int], chunks: list[int]) -> Path:
    (path / "0").mkdir(parents=True)
    axes = [{"name": name} for name in "tczyx"]
    ome = {"multiscales": [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]}
    (path / ".zattrs").write_text(json.dumps(ome))
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    array = {"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": "|u1", "compressor": None, "fill_value": 0}
    (path / "0" / ".zarray").write_text(json.dumps({**array, "order": "C", "filters": None}))
    return path


def test_a_plane_of_countless_chunks_fail(tmp_path: Path) -> None:
    path = zarr_of(tmp_path / "a.zarr", [1, 1, 1, 60_000, 60_000], [1, 1, 1, 1, 1])
    says(path, "3600000000 chunks", LimitError)


def test_countless_chunks_of_which_none_is_stored_fail(tmp_path: Path) -> None:
    path = zarr_of(tmp_path / "a.zarr", [1, 1, 2_000, 1_000, 1_000], [1, 1, 1, 1, 10])
    says(path, "promises 200000000 chunks", LimitError)


def test_a_page_of_countless_strips_fail(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    entries = simple(1, 1_000_001, t278=1)
    path.write_bytes(tiff_of(entries))
    says(path, "1000001 strips", LimitError)


def test_a_picture_too_large_for_its_library_is_a_limit_fail(tmp_path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b""))
    says(path, "Mpx", LimitError)


def test_a_text_that_unpacks_to_much_is_a_limit_fail(tmp_path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, 0, 0, 0, 0))
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64 << 20)))
    pixels = chunk(b"IDAT", zlib.compress(bytes(3)))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + text + pixels + chunk(b"IEND", b""))
    says(path, "a text or colour profile", LimitError)
