"""A file is looked up in an index: planes of a stack, a figure, a strip of a blot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

pytest.importorskip("cv2")
pytest.importorskip("sqlalchemy")

from rawtrace.demo.specimen import stack
from rawtrace.image import writing
from rawtrace.image.reader import open_image
from rawtrace.image.views import scene_views, view_at
from rawtrace.match.index import PictureIndex
from rawtrace.match.lookup import look_up
from rawtrace.match.model import Evidence, Relation

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def deposit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deposit")
    for seed in (1, 2):
        writing.ome_tiff(folder / f"{seed}.ome.tif", stack(seed, size=224, planes=3), axes="CZYX")
    tifffile.imwrite(folder / "blot.tif", blot())
    return folder


@pytest.fixture(scope="module")
def index(deposit: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PictureIndex]:
    with PictureIndex.open(tmp_path_factory.mktemp("index"), create=True) as made:
        assert made.add([deposit], workers=1).added == 3
        yield made


def blot() -> Array:
    """Two rows of unequal bands on an uneven, noisy background."""
    rng = np.random.default_rng(9)
    y, x = np.mgrid[:240, :320].astype(np.float32)
    picture = 0.1 + 0.05 * x / 320 + rng.normal(0, 0.01, y.shape)
    for row in (70, 150):
        for lane in range(9):
            centre, weight, width = 30 + 31 * lane + rng.normal(0, 2), rng.uniform(0.1, 0.9), rng.uniform(8, 12)
            u, bend, rise = (x - centre) / width, rng.normal(0, 1.5), rng.normal(0, 2)
            picture = picture + weight * np.exp(-(u**6) - ((y - row - rise - bend * u) / 4) ** 2)
    return np.round(np.clip(picture, 0, 1) * 60_000).astype(np.uint16)


def shown(values: Array) -> Array:
    low, high = np.percentile(values, (1, 99.8))
    return np.clip((values.astype(float) - low) / (high - low) * 255, 0, 255).astype(np.uint8)


def test_a_converted_stack_is_found_by_its_planes(deposit: Path, index: PictureIndex, tmp_path: Path) -> None:
    with open_image(deposit / "2.ome.tif") as image:
        planes = np.stack([image.plane(image.scenes[0], plane) for plane in image.scenes[0].walk()])
    copy = tmp_path / "copy.tif"
    tifffile.imwrite(copy, planes, compression="zlib", metadata=None, photometric="minisblack")
    found = look_up(copy, index)
    assert [Path(match.where.source).name for match in found.matches] == ["2.ome.tif"]
    assert found.matches[0].evidence is Evidence.PIXELS


def test_a_figure_names_plane_and_channel(deposit: Path, index: PictureIndex, tmp_path: Path) -> None:
    with open_image(deposit / "1.ome.tif") as image:
        scene = image.scenes[0]
        plane = next(plane for plane in scene.walk() if (plane.c, plane.z) == (0, 2))
        picture = shown(image.plane(scene, plane))
    figure = tmp_path / "figure.jpg"
    figure.write_bytes(writing.jpeg(np.rot90(picture[20:200, 30:210]).copy(), quality=85))
    best = look_up(figure, index).matches[0]
    assert (Path(best.where.source).name, best.where.channel, best.where.z) == ("1.ome.tif", 0, 2)
    assert best.relation is Relation.SAME
    assert best.placement is not None
    assert np.allclose(best.placement.crop_box, (30, 20, 210, 200), atol=2)


def test_a_strip_of_a_blot_is_found(index: PictureIndex, tmp_path: Path) -> None:
    strip = tmp_path / "strip.png"
    strip.write_bytes(writing.png(255 - shown(blot())[56:86, 20:300]))
    best = look_up(strip, index).matches[0]
    assert Path(best.where.source).name == "blot.tif"
    assert best.placement is not None
    assert np.allclose(best.placement.crop_box, (20, 56, 300, 86), atol=2)


def test_what_is_not_there_is_not_found(index: PictureIndex, tmp_path: Path) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(writing.png(shown(stack(7, size=224, planes=1)[0, 0])))
    assert look_up(other, index).matches == ()


def test_a_damaged_copy_of_a_blot_is_passed_over(index: PictureIndex) -> None:
    from rawtrace.match.index.tables import STRIPS

    whole = index.strips(10)
    assert [Path(one.where.source).name for one in whole].count("blot.tif") == 1
    with index.writing() as connection:
        packed = {one.number: one.packed for one in whole}
        connection.execute(STRIPS.update().values(strip=b"nothing"))
    try:
        assert index.strips(10) == []
    finally:
        with index.writing() as connection:
            for number, data in packed.items():
                connection.execute(STRIPS.update().where(STRIPS.c.view == number).values(strip=data))


def test_one_view_is_rendered_as_all_of_them_are(deposit: Path) -> None:
    with open_image(deposit / "1.ome.tif") as image:
        scene = image.scenes[0]
        for view in scene_views(image, scene):
            again = view_at(image, scene, channel=view.channel, z=view.z, t=view.t, projection=view.projection)
            assert again is not None
            assert (again.z, again.projection) == (view.z, view.projection)
            assert (again.pixels == view.pixels).all()
        assert view_at(image, scene, channel=0, z=9, t=0, projection="") is None
        assert view_at(image, scene, channel=7, z=0, t=0, projection="max") is None


def test_a_picture_without_any_points_is_searched_in_silence(tmp_path: Path) -> None:
    (tmp_path / "black.png").write_bytes(writing.png(np.zeros((64, 64), np.uint8)))
    with PictureIndex.open(tmp_path / "ix", create=True) as made:
        made.add([tmp_path / "black.png"], workers=1)
        assert look_up(tmp_path / "black.png", made).matches == ()
