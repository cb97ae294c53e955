"""What is fuzzed: each target has seeds made by code, and a function that fails where an invariant does not hold.

The invariants: whatever the bytes, there is a Report or one of our own errors;
and a seal that was changed is never good, unless nothing that counts was
changed. Exactly: where the verdict is ``verified`` or ``verified-with-notes``,
the active manifest's label and claim hash are those of the seal that was made,
and the data is byte for byte what was sealed.
"""

from __future__ import annotations

import contextlib
import io
import runpy
import shutil
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rawtrace.errors import Error
from rawtrace.report import Report, Verdict

GOOD = {Verdict.VERIFIED, Verdict.VERIFIED_WITH_NOTES}
#: Longest that one input may take, in seconds.
PATIENCE_S = 5.0
CLOCK_S = 60


@dataclass(frozen=True)
class Target:
    """Inputs to begin with, and what is done with each."""

    seeds: tuple[bytes, ...]
    run: Callable[[bytes], None]


class Lab:
    """An authority, two instruments, a workstation, and sealed things; in a folder that is taken away at the end."""

    def __init__(self) -> None:
        from rawtrace.sealing.seal import seal
        from rawtrace.trust import authority
        from rawtrace.trust.certificates import SignerKind
        from rawtrace.trust.identity import create_identity
        from rawtrace.trust.instruments import new_record
        from rawtrace.trust.trustlist import read_list
        from rawtrace.verification.signer import Verifier

        self.folder = Path(tempfile.mkdtemp(prefix="rawtrace-fuzz-"))
        home = self.folder / "authority"
        authority.create_authority(home, name="Example Authority")
        told = {"manufacturer": "Example Optics", "model": "Widefield 1"}

        def identity(kind: SignerKind, name: str) -> Any:
            more = told if kind is SignerKind.INSTRUMENT else {}
            record = new_record(kind=kind, name=name, owner="https://ror.org/0exampe44", **more)
            return create_identity(self.folder / name, kind, record, authority=home)

        self.scope, self.other = identity(SignerKind.INSTRUMENT, "scope"), identity(SignerKind.INSTRUMENT, "other")
        self.desk = identity(SignerKind.WORKSTATION, "desk")
        self.trust_bytes = (home / "trust-list.jws").read_bytes()
        self.trust_list = read_list(self.trust_bytes, source="list")
        self.verifier = Verifier((self.trust_list,))
        self.data = self.folder / "plate.bin"
        self.data.write_bytes(b"an image")
        seal(self.data, signer=self.scope)
        self.figure = self.folder / "figure.bin"
        self.figure.write_bytes(b"a figure")
        seal(self.figure, signer=self.desk, parents=(self.data,))
        self.stack = self.folder / "stack.zarr"
        (self.stack / "0").mkdir(parents=True)
        for number in range(3):
            (self.stack / "0" / str(number)).write_bytes(b"%d" % number)
        seal(self.stack, signer=self.scope)
        self.pictures: dict[str, Path] = {}
        for kind, data in (("png", png()), ("jpg", jpeg())):
            plain = self.folder / f"figure.{kind}"
            plain.write_bytes(data)
            self.pictures[kind] = seal(plain, signer=self.desk, embed=True).asset

    def verify(self, path: Path) -> Report | None:
        """Verify; ``None`` where one of our own errors says why not."""
        from rawtrace.verification.verify import verify_with

        try:
            return verify_with(self.verifier, path)
        except Error:
            return None

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def png() -> bytes:
    """A grey picture of four by four."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes((x * 40 + y) % 256 for x in range(4)) for y in range(4))
    head = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    text = chunk(b"tEXt", b"Software\0Example 1")
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + text + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def jpeg() -> bytes:
    """A small grey JPEG."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("L", (8, 8), 90).save(out, "JPEG")
    return out.getvalue()


def tiff() -> bytes:
    """An OME-TIFF of one plane."""
    import numpy as np
    import tifffile

    ome = (
        '<OME><Instrument ID="I"><Microscope Model="Scope 9"/></Instrument><Image><AcquisitionDate>'
        "2026-03-01T10:20:30</AcquisitionDate><Pixels SizeX='4' SizeY='4' SizeZ='1' SizeC='1' SizeT='1' Type='uint8'"
        " DimensionOrder='XYZCT'><Channel Name='DAPI'/><TiffData IFD='0'/></Pixels></Image></OME>"
    )
    out = io.BytesIO()
    with tifffile.TiffWriter(out, ome=False, shaped=False) as writer:
        writer.write(np.arange(16, dtype=np.uint8).reshape(4, 4), description=ome, metadata=None)
    return out.getvalue()


def dicom() -> bytes:
    """A DICOM picture of two by two, explicit little endian, written byte by byte."""

    def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
        value += b" " * (len(value) % 2)
        long = kind in {b"OB", b"OW", b"SQ", b"UN"}
        size = struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))
        return struct.pack("<HH", group, number) + kind + size + value

    syntax = element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1\0")
    short = {0x02: 1, 0x10: 2, 0x11: 2, 0x100: 8, 0x101: 8, 0x102: 7, 0x103: 0}
    body = element(8, 0x60, b"CS", b"SM") + element(8, 0x70, b"LO", b"Example Optics")
    for number in (0x02,):
        body += element(0x28, number, b"US", struct.pack("<H", short[number]))
    body += element(0x28, 4, b"CS", b"MONOCHROME2")
    for number in (0x10, 0x11, 0x100, 0x101, 0x102, 0x103):
        body += element(0x28, number, b"US", struct.pack("<H", short[number]))
    body += element(0x7FE0, 0x10, b"OW", b"\1\2\3\4")
    meta = element(2, 0, b"UL", struct.pack("<I", len(syntax))) + syntax
    return bytes(128) + b"DICM" + meta + body


ZARR = (
    b'{"zarr_format":3,"node_type":"group","attributes":{"ome":{"version":"0.5","multiscales":[{"axes":[{"name":"y",'
    b'"type":"space"},{"name":"x","type":"space"}],"datasets":[{"path":"0","coordinateTransformations":[{"type":"scale"'
    b',"scale":[0.5,0.5]}]}]}]}}}',
    b'{"zarr_format":3,"node_type":"array","shape":[2,2],"data_type":"uint8","chunk_grid":{"name":"regular",'
    b'"configuration":{"chunk_shape":[2,2]}},"chunk_key_encoding":{"name":"default"},"fill_value":0,"codecs":'
    b'[{"name":"bytes"}]}',
)


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """Fail where one input takes longer than it may."""
    started = time.perf_counter()
    yield
    took_s = time.perf_counter() - started
    assert took_s < PATIENCE_S, f"it took {took_s:.1f} s"


def targets(lab: Lab) -> dict[str, Target]:
    """Return all targets, by name."""
    return {
        "sidecar": _sidecar(lab, lab.data),
        "family": _sidecar(lab, lab.figure),
        "png": _embedded(lab, "png"),
        "jpeg": _embedded(lab, "jpg"),
        "index": _index(lab),
        "trust-list": _trust_list(lab),
        "image": _image(lab),
        "reader-tiff": _reader(lab, "planes.tif", tiffs()),
        "reader-zarr": _reader_of_zarr(lab),
        **{name: Target(*made) for name, made in load(Path(__file__).parent / "network.py").made(lab, in_time)},
    }


def _sidecar(lab: Lab, data: Path) -> Target:
    sidecar = data.with_name(data.name + ".c2pa")
    seed = sidecar.read_bytes()
    sealed = lab.verify(data)
    assert sealed is not None
    assert sealed.seal is not None
    assert sealed.verdict in GOOD
    name = (sealed.seal.label, sealed.seal.claim_sha256)

    def run(found: bytes) -> None:
        sidecar.write_bytes(found)
        with in_time():
            report = lab.verify(data)
        assert report is not None, "a seal that cannot be read is a verdict, not an error"
        if report.verdict in GOOD:
            assert report.seal is not None
            assert (report.seal.label, report.seal.claim_sha256) == name

    return Target((seed,), run)


def _embedded(lab: Lab, kind: str) -> Target:
    from rawtrace.sealing.embedded import embedded_store

    path = lab.pictures[kind]
    seed = path.read_bytes()
    sealed = lab.verify(path)
    assert sealed is not None
    assert sealed.seal is not None
    name = (sealed.seal.label, sealed.seal.claim_sha256)

    def outside() -> bytes:
        found = embedded_store(path)
        assert found is not None
        data, at = b"", 0
        raw = path.read_bytes()
        for start, length in sorted(found[1]):
            data += raw[at:start]
            at = start + length
        return data + raw[at:]

    content = outside()

    def run(found: bytes) -> None:
        path.write_bytes(found)
        with in_time():
            report = lab.verify(path)
        if report is not None and report.verdict in GOOD:
            assert report.seal is not None
            assert (report.seal.label, report.seal.claim_sha256) == name
            assert outside() == content

    return Target((seed,), run)


def _index(lab: Lab) -> Target:
    from rawtrace.sealing.folderindex import parse_index

    index = lab.stack.with_name("stack.zarr.sha256")
    seed = index.read_bytes()

    def run(found: bytes) -> None:
        index.write_bytes(found)
        with in_time():
            with contextlib.suppress(Error):
                parse_index(found)
            report = lab.verify(lab.stack)
        assert report is not None
        assert (report.verdict in GOOD) == (found == seed)

    return Target((seed, seed.replace(b"0/1", b"0/\xc3\xa9")), run)


def _trust_list(lab: Lab) -> Target:
    from rawtrace.trust.trustlist import read_list

    held = lab.trust_list

    def run(found: bytes) -> None:
        with in_time():
            for strict in (True, False):
                try:
                    one = read_list(found, source="list", require_signature=strict)
                except Error:
                    continue
                assert one.signed or not strict
                if one.operator_sha256 == held.operator_sha256:
                    assert (one.content_sha256, one.signed) == (held.content_sha256, True)

    import base64

    payload = lab.trust_bytes.split(b".")[1]
    plain = base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))
    return Target((lab.trust_bytes, plain), run)


def _image(lab: Lab) -> Target:
    from rawtrace.image.completeness import completeness
    from rawtrace.image.metadata import harvest
    from rawtrace.image.preview import preview
    from rawtrace.sealing.embedded import embedded_store

    plain = lab.folder / "anything"
    stack = lab.folder / "anything.zarr"
    (stack / "0").mkdir(parents=True)
    (stack / "0" / "zarr.json").write_bytes(ZARR[1])

    def run(found: bytes) -> None:
        path = plain
        if found[:1] == b"{":
            path = stack
            place = stack / "0" if b'"array"' in found else stack
            (place / "zarr.json").write_bytes(found)
        else:
            plain.write_bytes(found)
            with contextlib.suppress(Error):
                embedded_store(plain)
        with in_time():
            for read in (harvest, completeness, preview):
                with contextlib.suppress(Error):
                    read(path)

    return Target((tiff(), png(), jpeg(), dicom(), *ZARR), run)


def _read(path: Path) -> None:
    """Read a few planes of an image: whole ones, or one of our own errors."""
    from rawtrace.image.reader import open_image

    with contextlib.suppress(Error), open_image(path) as image:
        assert image.scenes
        for scene in image.scenes[:2]:
            for number, plane in enumerate(scene.walk()):
                if number == 4 or scene.plane_bytes > 64 << 20:
                    break
                assert sum(band.shape[0] for band in image.bands(scene, plane)) == scene.y
                image.overview(scene, plane, longest_edge_px=2)


def _reader(lab: Lab, name: str, seeds: tuple[bytes, ...]) -> Target:
    path = lab.folder / name

    def run(found: bytes) -> None:
        path.write_bytes(found)
        with in_time():
            _read(path)

    return Target(seeds, run)


def _reader_of_zarr(lab: Lab) -> Target:
    root = lab.folder / "planes.zarr"
    (root / "0" / "c" / "0").mkdir(parents=True)
    places = {b'"group"': root / "zarr.json", b'"array"': root / "0" / "zarr.json"}
    for seed, place in zip(ZARR, places.values(), strict=True):
        place.write_bytes(seed)
    chunk = root / "0" / "c" / "0" / "0"

    def run(found: bytes) -> None:
        place = next((place for word, place in places.items() if word in found), chunk)
        before = place.read_bytes() if place.exists() else b"\1\2\3\4"
        place.write_bytes(found)
        try:
            with in_time():
                _read(root)
        finally:
            place.write_bytes(before)

    packed = ZARR[1].replace(b'{"name":"bytes"}', b'{"name":"bytes"},{"name":"gzip"}')
    return Target((*ZARR, packed, b"\1\2\3\4"), run)


def tiffs() -> tuple[bytes, ...]:
    """Small TIFFs: three pages, tiles of colours, an ImageJ stack, an OME-TIFF."""
    import numpy as np
    import tifffile

    pages = np.arange(3 * 8 * 9, dtype=np.uint16).reshape(3, 8, 9)
    colours = np.arange(8 * 9 * 3, dtype=np.uint8).reshape(8, 9, 3)
    made = [tiff()]
    for pixels, options in (
        (pages, {"photometric": "minisblack", "metadata": None}),
        (pages, {"imagej": True}),
        (pages, {"photometric": "minisblack", "ome": True, "compression": "zlib", "metadata": {"axes": "ZYX"}}),
        (colours, {"photometric": "rgb", "tile": (16, 16), "compression": "zlib"}),
    ):
        out = io.BytesIO()
        tifffile.imwrite(out, pixels, **options)
        made.append(out.getvalue())
    return tuple(made)


def load(path: Path) -> SimpleNamespace:
    """Load a helper module that lies in another folder of the tests."""
    return SimpleNamespace(**runpy.run_path(str(path)))
