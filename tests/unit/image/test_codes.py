from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path

import iscc_lib
import numpy as np
import pytest

from arrays import ArrayBackend, array_image
from rawtrace.errors import InputNotFoundError, LimitError, PixelsError
from rawtrace.image import codes, hashing, treewalk
from rawtrace.image.reader import Image, PlaneIndex
from rawtrace.image.views import View, views


@pytest.fixture
def stack() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 4096, (2, 3, 4, 33, 47), np.uint16)


def one(array: np.ndarray, **options: bool) -> codes.SceneCodes:
    (found,) = codes.codes_of_image(array_image(array), **({"views": False} | options))
    return found


def canonical(array: np.ndarray) -> bytes:
    return array.astype(array.dtype.newbyteorder(">")).tobytes()


def test_damaged_plane_stops_everything_and_ends_the_threads(stack: np.ndarray) -> None:
    import threading

    class Damaged(ArrayBackend):
        def bands(self, scene, plane):  # type: ignore[no-untyped-def]
            if plane == PlaneIndex(2, 1, 0):
                msg = f"scene 0, plane {plane.words()} is damaged"
                raise PixelsError(msg)
            return super().bands(scene, plane)

    large = np.zeros((1, 2, 3, 300, 400), np.uint16)
    with pytest.raises(PixelsError, match="z=2, c=1, t=0"):
        codes.codes_of_image(Image(Path("array"), "array", Damaged([large], 100)), views=False)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rawtrace-hashing")]


def test_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError):
        codes.codes_of(tmp_path / "nothing.tif")


def test_scene_code_walks_z_then_c_then_t(stack: np.ndarray) -> None:
    found = one(stack)
    backend = ArrayBackend([stack], 7)
    codes.codes_of_image(Image(Path("array"), "array", backend), views=False)
    assert backend.read == [PlaneIndex(z, c, t) for z in range(4) for c in range(3) for t in range(2)]
    whole = b"".join(canonical(stack[index.t, index.c, index.z]) for index in backend.read)
    wanted = iscc_lib.SumHasher(whole).finalize(bits=256, wide=True, add_units=True)
    assert (found.iscc, [found.data, found.instance]) == (wanted.iscc, wanted.units)


def test_plane_codes_are_of_the_planes_own_bytes(stack: np.ndarray) -> None:
    found = one(stack).planes
    assert [plane.index for plane in found] == list(array_image(stack).scenes[0].walk())
    for plane in found:
        own = canonical(stack[plane.index.t, plane.index.c, plane.index.z])
        assert plane.instance == iscc_lib.gen_instance_code_v0(own, bits=256).iscc
        assert plane.data == iscc_lib.gen_data_code_v0(own, bits=256).iscc
        assert not plane.constant


def test_one_plane_has_the_code_of_its_scene(stack: np.ndarray) -> None:
    found = one(stack[:1, :1, :1])
    (plane,) = found.planes
    assert (plane.instance, plane.data) == (found.instance, found.data)


@pytest.mark.parametrize("depth", [0, 1, 8])
@pytest.mark.parametrize("worth", [1, 1 << 16])
def test_threads_change_nothing(stack: np.ndarray, depth: int, worth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = one(stack)
    monkeypatch.setattr(hashing, "DEPTH", depth)
    monkeypatch.setattr(hashing, "_WORTH_A_THREAD", worth)
    assert one(stack) == wanted


def test_byte_order_does_not_show(stack: np.ndarray) -> None:
    assert one(stack.astype(">u2"), views=True) == one(stack.astype("<u2"), views=True)


def test_each_colour_counts() -> None:
    pixels = np.random.default_rng(6).integers(0, 255, (1, 1, 1, 40, 50, 3), np.uint8)
    other = pixels.copy()
    other[..., 1:] = 255 - other[..., 1:]
    assert one(pixels).iscc != one(other).iscc
    assert one(pixels).instance != one(other).instance


def test_constant_planes_are_marked() -> None:
    array = np.zeros((1, 1, 3, 200, 300), np.uint16)
    array[0, 0, 1] = 77
    array[0, 0, 2, -1, -1] = 1
    assert [plane.constant for plane in one(array).planes] == [True, True, False]
    assert [view.image for view in one(array, views=True).views] == ["", ""]
    nans = np.full((1, 1, 1, 4, 4), np.nan, np.float32)
    assert one(nans).planes[0].constant


def test_what_is_not_asked_for_is_not_computed(stack: np.ndarray) -> None:
    found = one(stack, planes=False)
    assert (found.planes, found.views) == ((), ())
    assert found.iscc == one(stack).iscc


def test_views_of_each_channel_have_codes(stack: np.ndarray) -> None:
    found = one(stack, views=True).views
    assert [(view.channel, view.t, view.projection) for view in found] == [
        (channel, time, projection) for channel in range(3) for time in range(2) for projection in ("", "max")
    ]
    assert all(len(codes.bits_of(view.image)) == 32 for view in found)


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_views_are_those_of_a_reading_of_their_own(
    stack: np.ndarray, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "_STACK_BYTES", memory)
    for array in (stack, stack[:, :, :1], np.stack([stack] * 3, axis=-1)):
        seen: list[View] = []
        backend = ArrayBackend([array], 7)
        image = Image(Path("array"), "array", backend)
        (found,) = codes.codes_of_image(image, on_view=seen.append)
        assert len(backend.read) == found.scene.planes * (2 if memory == 0 and found.scene.z > 1 else 1)
        wanted = list(views(image))
        assert found.views == tuple(codes.view_code(view) for view in wanted)
        assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(seen, wanted, strict=True))


def test_progress_counts_every_byte(stack: np.ndarray) -> None:
    class Counter:
        total = done = 0

        def start(self, label: str, total: int | None) -> None:
            self.total += total or 0

        def advance(self, amount: int) -> None:
            self.done += amount

        def finish(self) -> None:
            pass

    counter = Counter()
    codes.codes_of_image(array_image(stack), views=False, progress=counter)
    assert counter.total == counter.done == stack.nbytes


def test_codes_of_bytes_are_those_of_iscc_lib(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(np.random.default_rng(1).bytes(3_000_000))
    found = codes.codes_of(path)
    wanted = iscc_lib.gen_sum_code_v0(path, bits=256, wide=True, add_units=True)
    assert (found.iscc, [found.data, found.instance], found.size) == (wanted.iscc, wanted.units, 3_000_000)
    assert found.scenes == ()
    assert "no scene was read" in found.notes[0]


def test_file_codes_can_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"text")
    found = codes.codes_of(path, file=False)
    assert (found.iscc, found.instance, found.data, found.size) == ("", "", "", 0)


def test_folder_is_hashed_in_treewalk_order(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    composed, decomposed = "\u00e4.txt", unicodedata.normalize("NFD", "\u00e4b.txt")
    order = [
        ".aignore",
        ".isccignore",
        ".hidden",
        "B.txt",
        "a.txt",
        composed,
        decomposed,
        "a/z.txt",
        "b/.zignore",
        "b/a.txt",
    ]
    for number, name in enumerate(order):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    (folder / "codes.iscc.json").write_text("{}")
    assert [path.relative_to(folder).as_posix() for path in treewalk.treewalk(folder)] == order
    found = codes.codes_of(folder)
    assert found.iscc == iscc_lib.SumHasher(b"0123456789").finalize(bits=256, wide=True).iscc
    assert any(".isccignore" in note for note in found.notes)


@pytest.mark.skipif(sys.platform == "win32", reason="making links needs a privilege on Windows")
def test_links_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [path.name for path in treewalk.treewalk(tmp_path)] == ["a"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no such names")
def test_name_that_is_no_text_is_hashed_all_the_same(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    path.write_bytes(b"a")
    assert list(treewalk.treewalk(tmp_path)) == [path]


def test_too_many_files_and_too_deep_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"")
    (tmp_path / "d").write_bytes(b"")
    monkeypatch.setattr(treewalk, "MAX_FILES", 1)
    with pytest.raises(LimitError, match="more than 1 files"):
        list(treewalk.treewalk(tmp_path))
    monkeypatch.setattr(treewalk, "MAX_DEPTH", 1)
    with pytest.raises(LimitError, match="inside one another"):
        list(treewalk.treewalk(tmp_path))
