"""Every format gives the pixels that were written, plane by plane, whatever the packing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from rawtrace.errors import MissingExtraError, PixelsError
from rawtrace.image.reader import Image, PlaneIndex, open_image

REAL = Path(__file__).parents[4] / "shared" / "data" / "images"
RANDOM = np.random.default_rng(7)
STACK = RANDOM.integers(0, 60_000, (2, 3, 4, 70, 50), dtype=np.uint16)  # T, C, Z, Y, X
COLOURS = RANDOM.integers(0, 255, (60, 50, 3), dtype=np.uint8)


def of_stack(plane: PlaneIndex) -> Any:
    return STACK[plane.t, plane.c, plane.z]


def same(image: Image, expected: Callable[[PlaneIndex], Any] = of_stack, *, scene: int = 0) -> None:
    one = image.scenes[scene]
    for plane in one.walk():
        bands = list(image.bands(one, plane))
        wanted = expected(plane)
        assert np.array_equal(np.concatenate(bands), wanted, equal_nan=wanted.dtype.kind == "f"), plane
        whole = image.plane(one, plane)
        assert whole.dtype.name == one.dtype
        assert whole.dtype.isnative
        assert np.array_equal(whole, wanted, equal_nan=wanted.dtype.kind == "f")


def sizes(image: Image) -> tuple[int, ...]:
    one = image.scenes[0]
    return one.t, one.c, one.z, one.y, one.x, one.samples


# -- TIFF ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {}, {"rowsperstrip": 7}, {"compression": "zlib"}, {"tile": (32, 16), "compression": "zlib", "predictor": True},
        {"tile": (32, 16)}, {"compression": "lzw", "predictor": True}, {"compression": "zstd", "tile": (64, 64)},
        {"rowsperstrip": 9, "compression": "packbits"},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_ome_tiff_in_any_packing(tmp_path: Path, options: dict[str, Any], byteorder: str) -> None:
    path = tmp_path / "a.ome.tif"
    metadata = {
        "axes": "TCZYX", "PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "µm", "PhysicalSizeZ": 300,
        "PhysicalSizeZUnit": "nm", "Channel": {"Name": ["DAPI", "GFP", "RFP"]},
    }  # fmt: skip
    tifffile.imwrite(path, STACK, metadata=metadata, byteorder=byteorder, **options)
    with open_image(path) as image:
        assert image.format == "OME-TIFF"
        assert sizes(image) == (2, 3, 4, 70, 50, 1)
        scene = image.scenes[0]
        assert scene.pixel_size_um == (0.3, None, 0.1)
        assert scene.channel_names == ("DAPI", "GFP", "RFP")
        assert (scene.stored_axes, scene.planes, scene.plane_bytes) == ("TCZYX", 24, 7_000)
        same(image)


def test_walk_is_z_then_c_then_t(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, STACK, metadata={"axes": "TCZYX"})
    with open_image(path) as image:
        walk = list(image.scenes[0].walk())
    assert walk[:3] == [PlaneIndex(0, 0, 0), PlaneIndex(0, 0, 1), PlaneIndex(0, 1, 0)]
    assert walk == sorted(walk)
    assert len(walk) == 24


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float16", "float32", "float64", "complex64", "bool"])
def test_types_of_pixels(tmp_path: Path, dtype: str) -> None:
    pixels = (STACK[0, 0] % 2 if dtype == "bool" else STACK[0, 0] // 256).astype(dtype)
    if pixels.dtype.kind in "fc":
        pixels[0, 0, :3] = (np.nan, np.inf, -np.inf)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata=None)
    with open_image(path) as image:
        assert image.scenes[0].dtype == dtype
        assert sizes(image) == (1, 1, 4, 70, 50, 1)
        for plane in image.scenes[0].walk():
            assert image.plane(image.scenes[0], plane).tobytes() == pixels[plane.z].tobytes()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1)])
def test_narrow_pictures(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = tmp_path / "a.tif"
    pixels = np.arange(shape[0] * shape[1], dtype=np.uint16).reshape(shape)
    tifffile.imwrite(path, pixels)
    with open_image(path) as image:
        same(image, lambda _: pixels)


def test_imagej_hyperstack(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    metadata = {"axes": "TZCYX", "spacing": 0.5, "unit": "um"}
    tifffile.imwrite(path, STACK.transpose(0, 2, 1, 3, 4), imagej=True, metadata=metadata, resolution=(10, 10))
    with open_image(path) as image:
        assert image.format == "ImageJ TIFF"
        assert sizes(image) == (2, 3, 4, 70, 50, 1)
        assert image.scenes[0].pixel_size_um == (0.5, 0.1, 0.1)
        same(image)


def test_imagej_stack_behind_one_directory(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    planes = STACK[0, 0]
    description = b"ImageJ=1.54f\nimages=4\nslices=4\n"
    with tifffile.TiffWriter(path, byteorder=">") as writer:
        writer.write(planes[0].astype(">u2"), description=description, metadata=None)
    with path.open("ab") as stream, tifffile.TiffFile(path) as tif:
        end = tif.pages[0].dataoffsets[0] + planes[0].nbytes
        assert end == os.fstat(stream.fileno()).st_size
        stream.write(planes[1:].astype(">u2").tobytes())
    with open_image(path) as image:
        assert sizes(image) == (1, 1, 4, 70, 50, 1)
        assert any("one directory" in note for note in image.notes)
        same(image, lambda plane: planes[plane.z])
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with open_image(path) as image:
        image.plane(image.scenes[0], PlaneIndex(z=2))
        with pytest.raises(PixelsError, match="plane z=3, c=0, t=0 of scene 0 cannot be read: the file ends"):
            image.plane(image.scenes[0], PlaneIndex(z=3))


def test_extra_axes_of_plain_stacks_count_from_the_right(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack")
    with open_image(path) as image:
        assert sizes(image) == (2, 3, 4, 70, 50, 1)
        same(image)
    tifffile.imwrite(path, STACK[0, 0], photometric="minisblack", metadata=None)
    with open_image(path) as image:
        assert sizes(image) == (1, 1, 4, 70, 50, 1)
        same(image, lambda plane: STACK[0, 0, plane.z])


@pytest.mark.parametrize(
    "options",
    [
        {}, {"planarconfig": "separate"}, {"tile": (32, 32), "compression": "zlib"}, {"rowsperstrip": 7},
        {"planarconfig": "separate", "tile": (32, 32)}, {"planarconfig": "separate", "compression": "lzw"},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_colours_are_samples_behind(tmp_path: Path, options: dict[str, Any], dtype: str) -> None:
    pixels = COLOURS.astype(dtype) * (257 if dtype == "uint16" else 1)
    stored = pixels.transpose(2, 0, 1) if options.get("planarconfig") else pixels
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="rgb", metadata=None, **options)
    with open_image(path) as image:
        assert sizes(image) == (1, 1, 1, 60, 50, 3)
        assert image.scenes[0].stored_axes == ("SYX" if options.get("planarconfig") else "YXS")
        same(image, lambda _: pixels)


def test_palettes_are_colours_but_not_in_imagej(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    table = RANDOM.integers(0, 255, (3, 256), dtype=np.uint16) * 257
    places = COLOURS[..., 0]
    tifffile.imwrite(path, places, photometric="palette", colormap=table, metadata=None)
    with open_image(path) as image:
        same(image, lambda _: (table.T[places] >> 8).astype(np.uint8))
    tifffile.imwrite(path, places, imagej=True, colormap=table)
    with open_image(path) as image:
        same(image, lambda _: places)


def test_pyramids_are_levels_and_not_scenes(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(STACK, subifds=1, metadata={"axes": "TCZYX"}, tile=(16, 16))
        writer.write(STACK[..., ::2, ::2], subfiletype=1, tile=(16, 16))
    with open_image(path) as image:
        assert len(image.scenes) == 1
        same(image)
        at = PlaneIndex(1, 2, 1)
        small = image.overview(image.scenes[0], at, longest_edge_px=30)
        assert np.array_equal(small, of_stack(at)[::2, ::2])
        assert image.overview(image.scenes[0], at, longest_edge_px=60).shape == (70, 50)


def test_pages_of_different_size_are_scenes(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(STACK[0, 0, 0], metadata=None)
        writer.write(COLOURS, photometric="rgb", metadata=None)
        writer.write(STACK[0, 0, 1], metadata=None)
    with open_image(path) as image:
        assert [(scene.z, scene.samples) for scene in image.scenes] == [(2, 1), (1, 3)]
        same(image, lambda plane: STACK[0, 0, plane.z])
        same(image, lambda _: COLOURS, scene=1)


def test_ome_tiff_of_several_files(tmp_path: Path) -> None:
    names, uuids = ("a.ome.tif", "b.ome.tif"), ("urn:uuid:1", "urn:uuid:2")
    blocks = "".join(
        f'<TiffData FirstZ="{z}" IFD="{z // 2}"><UUID FileName="{names[z % 2]}">{uuids[z % 2]}</UUID></TiffData>'
        for z in range(4)
    )
    for number, name in enumerate(names):
        text = (
            f'<OME UUID="{uuids[number]}"><Image Name="one"><Pixels DimensionOrder="XYZCT" Type="uint16" SizeX="50"'
            f' SizeY="70" SizeZ="4" SizeC="1" SizeT="1">{blocks}</Pixels></Image></OME>'
        ).encode()
        with tifffile.TiffWriter(tmp_path / name, ome=False, shaped=False) as writer:
            for place, z in enumerate(range(number, 4, 2)):
                writer.write(STACK[0, 0, z], description=text if place == 0 else None, metadata=None, contiguous=False)
    for name in names:
        with open_image(tmp_path / name) as image:
            assert sizes(image) == (1, 1, 4, 70, 50, 1)
            same(image, lambda plane: STACK[0, 0, plane.z])


# -- Zarr ---------------------------------------------------------------------------------------------


def write_zarr(path: Path, version: int, pixels: Any, *, scale: float = 0.5, group: str = "", **options: Any) -> None:
    zarr = pytest.importorskip("zarr")
    top = zarr.open_group(str(path / group), mode="a", zarr_format=version)
    names = "tczyx"[-pixels.ndim :]
    levels = [pixels, pixels[..., ::2, ::2]]
    for number, level in enumerate(levels):
        array = top.create_array(str(number), shape=level.shape, dtype=level.dtype, **options)
        array[...] = level
    multiscale = {
        "axes": [{"name": name, "type": "space", "unit": "micrometer"} for name in names],
        "datasets": [
            {"path": path, "coordinateTransformations": [{"type": "scale", "scale": [scale] * len(names)}]}
            for path in ("0", "1")
        ],
    }
    omero = {"channels": [{"label": f"channel {number}"} for number in range(3)]}
    if version == 3:
        top.attrs.update({"ome": {"version": "0.5", "multiscales": [multiscale], "omero": omero}})
    else:
        top.attrs.update({"multiscales": [{**multiscale, "version": "0.4"}], "omero": omero})


def packings() -> list[Any]:
    numcodecs = pytest.importorskip("numcodecs")
    codecs = pytest.importorskip("zarr.codecs")
    turned = codecs.TransposeCodec(order=(4, 2, 0, 1, 3))
    return [
        (3, {"chunks": (1, 1, 1, 32, 32)}),
        (2, {"chunks": (1, 1, 1, 32, 32)}),
        (2, {"chunks": (2, 1, 3, 33, 17), "compressors": numcodecs.Blosc()}),
        (2, {"chunks": (1, 1, 1, 70, 50), "compressors": None, "filters": None}),
        (2, {"chunks": (1, 1, 1, 64, 50), "compressors": numcodecs.LZ4()}),
        (2, {"chunks": (1, 1, 1, 64, 50), "compressors": numcodecs.BZ2(), "order": "F"}),
        (3, {"chunks": (1, 1, 2, 16, 16), "shards": (1, 1, 4, 32, 48)}),
        (3, {"chunks": (1, 3, 2, 40, 50), "compressors": [codecs.BloscCodec()]}),
        (3, {"chunks": (1, 1, 1, 70, 50), "compressors": [codecs.GzipCodec(), codecs.Crc32cCodec()]}),
        (
            3,
            {
                "chunks": (1, 1, 2, 25, 30), "filters": [turned], "compressors": None,
                "serializer": codecs.BytesCodec(endian="big"),
            },
        ),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(10))
def test_zarr_in_any_packing(tmp_path: Path, number: int) -> None:
    version, options = packings()[number]
    path = tmp_path / "stack"
    write_zarr(path, version, STACK, **options)
    with open_image(path) as image:
        assert image.format == "OME-Zarr"
        assert sizes(image) == (2, 3, 4, 70, 50, 1)
        assert image.scenes[0].pixel_size_um == (0.5, 0.5, 0.5)
        assert image.scenes[0].channel_names == ("channel 0", "channel 1", "channel 2")
        same(image)
        at = PlaneIndex(1, 2, 1)
        small = image.overview(image.scenes[0], at, longest_edge_px=30)
        assert np.array_equal(small, of_stack(at)[::2, ::2])
        assert image.notes == ()


def test_chunks_that_are_not_there_are_the_fill_value_and_noted(ome_zarr: Callable[..., Path]) -> None:
    path = ome_zarr(skip=((0, 0, 1),))
    with open_image(path) as image:
        assert not image.plane(image.scenes[0], PlaneIndex(z=1)).any()
        assert image.notes == ("1 chunks have no file and were read as the fill value, as Zarr says",)


def test_fields_of_a_plate_are_scenes_and_labels_are_not(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "plate.zarr"
    top = zarr.open_group(str(path), mode="w", zarr_format=2)
    top.attrs["plate"] = {"wells": [{"path": "A/1"}, {"path": "B/2"}], "version": "0.4"}
    for well in ("A/1", "B/2"):
        group = top.require_group(well)
        group.attrs["well"] = {"images": [{"path": "0"}, {"path": "1"}], "version": "0.4"}
        for field in ("0", "1"):
            write_zarr(path, 2, STACK[0], group=f"{well}/{field}", chunks=(1, 1, 70, 50))
    write_zarr(path, 2, STACK[0, 0], group="A/1/0/labels/cells", chunks=(1, 70, 50))
    with open_image(path) as image:
        assert [scene.name for scene in image.scenes] == ["A/1/0", "A/1/1", "B/2/0", "B/2/1"]
        same(image, lambda plane: STACK[0, plane.c, plane.z], scene=3)


# -- pictures, DICOM, and formats of other people's libraries -----------------------------------------


def test_pictures(tmp_path: Path) -> None:
    for mode, dtype, samples in (
        ("RGB", "uint8", 3), ("L", "uint8", 1), ("1", "bool", 1), ("RGBA", "uint8", 4), ("LA", "uint8", 2),
    ):  # fmt: skip
        path = tmp_path / f"{mode}.png"
        shown = Pillow.fromarray(COLOURS).convert(mode)
        shown.save(path)
        with open_image(path) as image:
            assert (image.scenes[0].dtype, image.scenes[0].samples) == (dtype, samples)
            same(image, lambda _, shown=shown: np.asarray(shown))
    path = tmp_path / "palette.png"
    shown = Pillow.fromarray(COLOURS).quantize(16)
    shown.save(path)
    with open_image(path) as image:
        same(image, lambda _: np.asarray(shown.convert("RGB")))


def test_sixteen_bits_stay_sixteen_bits(tmp_path: Path) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    for samples in (1, 2, 3, 4):
        pixels = RANDOM.integers(0, 65_535, (20, 30, samples)[: 2 + (samples > 1)], dtype=np.uint16)
        path = tmp_path / "a.png"
        path.write_bytes(imagecodecs.png_encode(pixels))
        with open_image(path) as image:
            assert image.scenes[0].dtype == "uint16"
            same(image, lambda _, pixels=pixels: pixels)


def test_animated_pictures_are_their_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    frames = [Pillow.fromarray(COLOURS[..., number]) for number in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with open_image(path) as image:
        assert image.notes == ("the picture is animated: only its first frame is read",)
        assert image.scenes[0].planes == 1


def test_czi_that_its_own_library_wrote(tmp_path: Path) -> None:
    czi = pytest.importorskip("pylibCZIrw.czi")
    path = tmp_path / "a.czi"
    with czi.create_czi(str(path)) as writer:
        for t, c, z in np.ndindex(2, 3, 4):
            writer.write(STACK[t, c, z][..., None], plane={"T": t, "C": c, "Z": z})
        writer.write_metadata("a", channel_names={0: "DAPI"}, scale_x=1e-7, scale_y=1e-7, scale_z=3e-7)
    with open_image(path) as image:
        assert sizes(image) == (2, 3, 4, 70, 50, 1)
        assert image.scenes[0].pixel_size_um == (0.3, 0.1, 0.1)
        assert image.scenes[0].channel_names[0] == "DAPI"
        same(image)
    path = tmp_path / "b.czi"
    with czi.create_czi(str(path), compression_options="zstd1:") as writer:
        writer.write(COLOURS[..., ::-1], plane={"T": 0, "C": 0, "Z": 0}, scene=0)
        writer.write(255 - COLOURS[..., ::-1], plane={"T": 0, "C": 0, "Z": 0}, location=(100, 0), scene=1)
    with open_image(path) as image:
        same(image, lambda _: COLOURS)
        same(image, lambda _: 255 - COLOURS, scene=1)


class FakeNd2:
    """What ``nd2.ND2File`` says of a file of two positions, two time points, four focal planes, three channels."""

    sizes = {"P": 2, "T": 2, "Z": 4, "C": 3, "Y": 70, "X": 50}  # noqa: RUF012
    attributes = SimpleNamespace(heightPx=70, widthPx=50, channelCount=3, componentCount=3)
    components_per_channel = 1
    dtype = np.dtype("uint16")
    metadata = SimpleNamespace(channels=[SimpleNamespace(channel=SimpleNamespace(name="DAPI"))])

    def __init__(self, path: Path) -> None:
        self.path = path

    def voxel_size(self) -> Any:
        return SimpleNamespace(x=0.1, y=0.1, z=0.0)

    def read_frame(self, number: int) -> Any:
        p, t, z = np.unravel_index(number, (2, 2, 4))
        return STACK[t, :, z] + np.uint16(p)

    def close(self) -> None:
        self.path = Path()


def test_nd2_through_what_its_library_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nd2 = pytest.importorskip("nd2")
    monkeypatch.setattr(nd2, "ND2File", FakeNd2)
    path = tmp_path / "a.nd2"
    path.write_bytes(b"\xda\xce\xbe\x0a" + bytes(100_000))
    with open_image(path) as image:
        assert [scene.name for scene in image.scenes] == ["position 1", "position 2"]
        assert sizes(image) == (2, 3, 4, 70, 50, 1)
        assert image.scenes[0].pixel_size_um == (None, 0.1, 0.1)
        assert image.scenes[0].channel_names == ("DAPI", "", "")
        same(image)
        same(image, lambda plane: of_stack(plane) + 1, scene=1)


def test_lif_through_what_its_library_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    liffile = pytest.importorskip("liffile")

    def frame(*, T: int, C: int, Z: int) -> Any:
        return STACK[T, C, Z]

    coords = {"X": np.arange(50) * 1e-7, "Z": np.arange(4) * 3e-7}
    stack = SimpleNamespace(
        name="Series 1", sizes={"T": 2, "Z": 4, "C": 3, "Y": 70, "X": 50}, dtype=np.dtype("<u2"), is_flim=False,
        coords=coords, frame=frame,
    )  # fmt: skip
    lifetimes = SimpleNamespace(name="FLIM", sizes={"Y": 1, "X": 1}, is_flim=True)
    monkeypatch.setattr(liffile, "LifFile", lambda _: SimpleNamespace(images=[stack, lifetimes], close=lambda: None))
    path = tmp_path / "a.lif"
    path.write_bytes(bytes(100_000))
    with open_image(path) as image:
        assert sizes(image) == (2, 3, 4, 70, 50, 1)
        assert image.scenes[0].pixel_size_um == (0.3, None, 0.1)
        assert "FLIM" in image.notes[0]
        same(image)


@pytest.mark.parametrize("suffix", ["nd2", "lif", "czi"])
def test_damaged_files_of_other_libraries_fail(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    magic = {"nd2": b"\xda\xce\xbe\x0a", "lif": b"\x70\0\0\0", "czi": b"ZISRAWFILE"}[suffix]
    for tail in (b"", bytes(100), b"\xff" * 3_000):
        path.write_bytes(magic + tail)
        with pytest.raises(PixelsError, match=rf"a\.{suffix} cannot be read"):
            open_image(path)


@pytest.mark.parametrize("suffix", ["nd2", "lif", "czi"])
def test_missing_libraries_are_named_with_the_install_line_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    import sys

    for module in ("nd2", "liffile", "pylibCZIrw"):
        monkeypatch.setitem(sys.modules, module, None)
    path = tmp_path / f"a.{suffix}"
    path.write_bytes({"nd2": b"\xda\xce\xbe\x0a", "lif": b"\x70\0\0\0", "czi": b"ZISRAWFILE"}[suffix])
    with pytest.raises(MissingExtraError) as found:
        open_image(path)
    assert found.value.hint == f'pip install "rawtrace[{"czi" if suffix == "czi" else "formats"}]"'


def test_deflate_needs_no_extra_and_lzw_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    path, other = tmp_path / "a.tif", tmp_path / "b.tif"
    for predictor in (False, True):
        tifffile.imwrite(path, STACK[0, 0, 0], compression="zlib", predictor=predictor, rowsperstrip=9)
        tifffile.imwrite(other, STACK[0, 0, 0], compression="lzw")
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, "imagecodecs", None)
            with open_image(path) as image:
                same(image, lambda _: STACK[0, 0, 0])
            with open_image(other) as image, pytest.raises(MissingExtraError) as found:
                image.plane(image.scenes[0], PlaneIndex())
            assert "rawtrace[formats]" in found.value.hint


def test_real_images_are_read_as_tifffile_and_pillow_read_them() -> None:
    paths = sorted(REAL.rglob("*.tif")) + sorted(REAL.rglob("*.png")) + sorted(REAL.rglob("*.jpg"))
    if not paths:
        pytest.skip("the collection of real images is not here")
    for path in paths[::5]:
        with open_image(path) as image:
            planes = [image.plane(scene, plane) for scene in image.scenes for plane in scene.walk()]
            if path.suffix == ".tif" and len(image.scenes) == 1 and planes[0].ndim == 2:
                theirs = tifffile.imread(path)
                assert np.sort(theirs, axis=None).tobytes() == np.sort(np.stack(planes), axis=None).tobytes(), path
