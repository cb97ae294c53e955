from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("cv2")

import cv2

from rawtrace.image.isccunits import bits_of
from rawtrace.image.planes import canonical_bytes
from rawtrace.image.reader import PlaneIndex
from rawtrace.match.features import features, stretched
from rawtrace.match.find import find, instance_code, which_plane
from rawtrace.match.galleries import VARIANTS, MemoryGallery
from rawtrace.match.model import Evidence, Placement, Relation, Where
from rawtrace.match.pairs import accepted, compare_pixels, verify_pair
from rawtrace.match.panels import panels
from rawtrace.match.relations import other_channel


def field(seed: int, size: int = 192) -> np.ndarray:
    """Cells with texture on a dark ground, 16 bits."""
    random = np.random.default_rng(seed)
    light = np.zeros((size, size), np.float32)
    for _ in range(int(45 * (size / 192) ** 2)):
        x, y = random.integers(0, size, 2)
        axes = (int(random.integers(5, 14)), int(random.integers(4, 10)))
        cv2.ellipse(
            light, (int(x), int(y)), axes, float(random.uniform(0, 180)), 0, 360, float(random.uniform(0.3, 1)), -1
        )
    texture = cv2.GaussianBlur(random.normal(size=(size, size)).astype(np.float32), (0, 0), 2) * 2
    shown = cv2.GaussianBlur(light, (0, 0), 1.2) * (1 + texture) + 0.05
    return np.clip(random.poisson(np.clip(shown, 0, None) * 300) * 10, 0, 65535).astype(np.uint16)


def shown(pixels: np.ndarray) -> np.ndarray:
    return stretched(pixels, percent=(0.1, 99.9))


@pytest.fixture(scope="module")
def gallery() -> MemoryGallery:
    held = MemoryGallery()
    for seed in range(8):
        digest = bits_of(instance_code(canonical_bytes(field(seed))))
        held.add(Where(source=f"field {seed}"), field(seed), digest=digest)
    return held


def off(placement: Placement | None, true: np.ndarray) -> float:
    assert placement is not None
    width, height = placement.published_size
    points = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1.0]])
    back = points @ np.linalg.inv(true).T
    return float(np.abs(back @ np.array(placement.matrix).T - points[:, :2]).max())


def lettered(seed: int = 0, text: str = "A   20 um") -> np.ndarray:
    page = np.full((256, 320), 255, np.uint8)
    cv2.putText(page, text, (20 + seed, 60 + 9 * seed), cv2.FONT_HERSHEY_SIMPLEX, 1, 0, 2)
    cv2.rectangle(page, (200, 220), (290, 226), 0, -1)
    return page


def test_cropped_turned_toned_and_packed_is_found_in_its_place(gallery: MemoryGallery) -> None:
    part = np.rot90(shown(field(3))[20:172, 30:180])
    toned = (255 * (part / 255) ** 0.6).astype(np.uint8)
    packed = cv2.imdecode(cv2.imencode(".jpg", toned, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_UNCHANGED)
    best = find(packed, gallery)[0]
    assert best.where.source == "field 3"
    assert best.evidence is Evidence.FEATURES
    assert best.relation is Relation.SAME
    assert best.panel is None
    turn = np.array([[0, 1, 0], [-1, 0, 149], [0, 0, 1.0]]) @ np.array([[1, 0, -30], [0, 1, -20], [0, 0, 1.0]])
    assert off(best.placement, turn) < 0.5


def test_inverted_and_mirrored(gallery: MemoryGallery) -> None:
    best = find(255 - shown(field(5))[:, ::-1], gallery)[0]
    assert best.where.source == "field 5"
    assert best.inverted
    assert best.correlation < -0.9
    assert best.placement is not None
    assert best.placement.mirrored


def test_coloured_by_a_table(gallery: MemoryGallery) -> None:
    picture = cv2.applyColorMap(shown(field(2)), cv2.COLORMAP_HOT)[..., ::-1]
    assert find(picture, gallery)[0].where.source == "field 2"


def test_blue_channel_alone_is_seen_although_luminance_shows_the_red_one(gallery: MemoryGallery) -> None:
    red = shown(field(90))
    picture = np.dstack([red, np.zeros_like(red), shown(field(1))])
    assert "field 1" in {match.where.source for match in find(picture, gallery)}


def test_unprocessed_plane_is_found_by_its_digest(gallery: MemoryGallery) -> None:
    (match,) = find(field(4), gallery)
    assert match.where.source == "field 4"
    assert match.evidence is Evidence.PIXELS
    assert match.placement is None


def test_blurred_beyond_points_is_found_by_its_code(gallery: MemoryGallery) -> None:
    picture = cv2.GaussianBlur(np.rot90(shown(field(6))), (0, 0), 4)
    small = cv2.resize(picture, (30, 30), interpolation=cv2.INTER_AREA)
    found = find(small, gallery)
    assert [match.where.source for match in found[:1]] == ["field 6"]


@pytest.mark.parametrize("seed", [50, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(51, 55))])
def test_silent_about_what_is_not_there(gallery: MemoryGallery, seed: int) -> None:
    assert find(shown(field(seed)), gallery) == ()


def annotated(pixels: np.ndarray, shade: int) -> np.ndarray:
    """Show a field with a title, a letter, an arrow and a scale bar, always at the same places."""
    marked = shown(pixels)
    size = len(marked)
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(marked, "A", (6, size // 4), font, 1, shade, 2)
    cv2.putText(marked, "GFP control", (size // 5, size // 9), font, 0.5, shade, 1)
    cv2.putText(marked, "20 um", (int(size * 0.6), int(size * 0.9)), font, 0.5, shade, 1)
    cv2.rectangle(marked, (int(size * 0.6), int(size * 0.93)), (int(size * 0.9), int(size * 0.95)), shade, -1)
    cv2.arrowedLine(marked, (size // 3, size // 3), (size // 2, size // 2), shade, 2, tipLength=0.3)
    return marked


@pytest.mark.soak
def test_letters_and_scale_bars_match_nothing() -> None:
    held = MemoryGallery()
    held.add(Where(source="page"), lettered(0))
    held.add(Where(source="marked"), annotated(field(20), 255))
    assert find(annotated(field(30), 255), held) == ()
    assert find(lettered(7), held) == ()


@pytest.mark.parametrize("shade", [pytest.param(170, marks=pytest.mark.soak), 255])
def test_the_same_annotations_on_unrelated_pictures_are_no_pair(shade: int) -> None:
    pictures = [stretched(annotated(field(100 + seed, 160), shade)) for seed in range(8)]
    points = [features(picture, limit=400) for picture in pictures]
    agreed, pairs = 0, list(itertools.permutations(range(8), 2))
    assert len(pairs) >= 50
    for one, other in pairs:
        pair = verify_pair(points[one], points[other])
        if pair is not None:
            agreed += pair.inliers >= 12
            agreement = compare_pixels(pictures[other], pictures[one], pair.matrix)
            assert not accepted(pair, agreement)
            assert not other_channel(pair, agreement)
    # Their points do agree: it is the pixels that tell.
    assert agreed > 10


def test_an_annotated_picture_is_still_found(gallery: MemoryGallery) -> None:
    best = find(annotated(field(2), 255), gallery)[0]
    assert (best.where.source, best.relation) == ("field 2", Relation.SAME)


def test_a_part_of_a_regular_pattern_is_named_repeating() -> None:
    tile = shown(field(80, 96))
    held = MemoryGallery()
    held.add(Where(source="pattern"), tile)
    twice = cv2.resize(np.hstack([tile, tile]), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    packed = cv2.imencode(".jpg", twice, [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    found = find(cv2.imdecode(packed, cv2.IMREAD_UNCHANGED), held)
    assert found[0].where.source == "pattern"
    assert found[0].relation is Relation.REPEATING


def test_another_stain_of_the_same_field_is_named_a_channel() -> None:
    held = MemoryGallery()
    actin, nuclei = field(75), field(76)
    held.add(Where(source="cells", channel=0), actin)
    held.add(Where(source="cells", channel=1), (actin * 0.7 + nuclei * 0.6).astype(np.uint16))
    found = find(shown(actin)[8:184, 8:184], held)
    assert [(match.where.channel, match.relation) for match in found] == [(0, Relation.SAME), (1, Relation.CHANNEL)]


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((64, 64), np.uint8), np.full((1, 1), 7, np.uint8), np.full((300, 40), np.nan), np.zeros((0, 5)),
        np.zeros((3, 4, 5, 6), np.uint8), np.array([["a", "b"]]), np.full((64, 64, 3), 255, np.uint8),
        np.zeros((2, 90_000), np.uint8), np.full((40, 40), np.inf), np.arange(64.0).reshape(8, 8) * 1j,
    ],
)  # fmt: skip
def test_odd_pictures_are_met_with_silence(gallery: MemoryGallery, picture: np.ndarray) -> None:
    assert find(picture, gallery) == ()


def test_not_a_number_among_good_values(gallery: MemoryGallery) -> None:
    picture = field(0).astype(np.float64)
    picture[10:14, 10:14] = np.nan
    picture[99, 99] = np.inf
    assert find(picture, gallery)[0].where.source == "field 0"


def test_empty_gallery() -> None:
    assert find(field(0), MemoryGallery()) == ()


def test_panels_of_a_figure_are_found_each_in_its_box(gallery: MemoryGallery) -> None:
    figure = np.full((190, 400), 255, np.uint8)
    places = {1: (20, 20), 4: (20, 210)}
    for seed, (top, left) in places.items():
        figure[top : top + 150, left : left + 160] = shown(field(seed))[30:180, 10:170]
    found = {match.where.source: match for match in find(figure, gallery)}
    assert set(found) == {"field 1", "field 4"}
    for seed, (top, left) in places.items():
        match = found[f"field {seed}"]
        assert match.panel == pytest.approx((left, top, left + 160, top + 150), abs=6)
        assert off(match.placement, np.array([[1, 0, left - 10], [0, 1, top - 30], [0, 0, 1.0]])) < 0.6


def test_overlapping_field_is_named() -> None:
    large = field(60, 320)
    held = MemoryGallery()
    held.add(Where(source="left"), large[:192, :192])
    best = find(shown(large[60:252, 60:252]), held)[0]
    assert best.where.source == "left"
    assert best.relation is Relation.OVERLAP


def test_neighbouring_planes_are_named() -> None:
    held = MemoryGallery()
    base, drift = field(70).astype(np.float32), field(71).astype(np.float32)
    for z in range(3):
        held.add(Where(source="stack", channel=0, z=z), np.clip(base + 0.35 * z * drift, 0, 65535).astype(np.uint16))
    found = find(shown(base)[10:180, 10:180], held)
    assert (found[0].where.z, found[0].relation) == (0, Relation.SAME)
    assert {match.relation for match in found[1:]} == {Relation.NEIGHBOUR}


def test_which_plane_explains_a_picture_best() -> None:
    base, drift = field(72).astype(np.float32), field(73).astype(np.float32)
    planes = [(PlaneIndex(z=z), base + 0.2 * z * drift) for z in range(5)]
    picture = shown(planes[3][1])[10:180, 20:180]
    placement = Placement(
        matrix=((1, 0, -20), (0, 1, -10)), original_size=(192, 192), published_size=(160, 170)
    )  # fmt: skip
    ranked = which_plane(picture, placement, planes)
    assert ranked[0][0] == PlaneIndex(z=3)
    assert ranked[0][1] > ranked[1][1]


def test_hidden_views_are_not_there(gallery: MemoryGallery) -> None:
    gallery.hidden = frozenset({1})
    try:
        found = gallery.candidates(features(shown(field(1))), VARIANTS, 20)
        assert gallery.by_digest(bits_of(instance_code(canonical_bytes(field(1))))) == []
    finally:
        gallery.hidden = frozenset()
    assert found
    assert all(number != 1 for number, *_ in found)


def test_figure_without_gutters_is_one_panel() -> None:
    assert panels(shown(field(0))) == ((0, 0, 192, 192),)
