"""The words of this room: where a picture lies in another, by which evidence, and what differs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Box = tuple[float, float, float, float]
Matrix = tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a published picture lies in an original: an affine map.

    Attributes
    ----------
    matrix : tuple of two rows of three
        Takes (x, y) in the original to (x, y) in the published picture, both in
        pixels, the centre of the first pixel being (0, 0).
    original_size, published_size : tuple[int, int]
        Width and height, px.
    """

    matrix: Matrix
    original_size: tuple[int, int]
    published_size: tuple[int, int]

    @property
    def mirrored(self) -> bool:
        """Whether left and right are exchanged."""
        (a, b, _), (c, d, _) = self.matrix
        return a * d - b * c < 0

    @property
    def scale(self) -> float:
        """Published pixels for one pixel of the original."""
        (a, b, _), (c, d, _) = self.matrix
        return math.sqrt(abs(a * d - b * c))

    @property
    def rotation_deg(self) -> float:
        """Clockwise as seen on the screen, after mirroring left to right if ``mirrored``; -180 to 180."""
        (a, _, _), (c, _, _) = self.matrix
        return math.degrees(math.atan2(-c, -a)) if self.mirrored else math.degrees(math.atan2(c, a))

    def to_original(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the published picture lies in the original."""
        (a, b, e), (c, d, f) = self.matrix
        determinant = a * d - b * c
        x, y = x - e, y - f
        return (d * x - b * y) / determinant, (a * y - c * x) / determinant

    @property
    def crop_box(self) -> Box:
        """The smallest upright box of the original that holds the published picture: left, top, right, bottom, px."""
        width, height = self.published_size
        corners = [self.to_original(x, y) for x in (-0.5, width - 0.5) for y in (-0.5, height - 0.5)]
        left, top = (min(corner[axis] for corner in corners) + 0.5 for axis in (0, 1))
        right, bottom = (max(corner[axis] for corner in corners) + 0.5 for axis in (0, 1))
        return left, top, right, bottom

    def to_dict(self) -> dict[str, Any]:
        """Return the placement as JSON types."""
        return {
            "matrix": [list(row) for row in self.matrix],
            "original_size": list(self.original_size),
            "published_size": list(self.published_size),
            "mirrored": self.mirrored,
            "scale": round(self.scale, 6),
            "rotation_deg": round(self.rotation_deg, 4),
            "crop_box": [round(edge, 3) for edge in self.crop_box],
        }


class Evidence(StrEnum):
    """What says that two pictures are the same, strongest first."""

    SEAL = "seal"
    PIXELS = "pixels"
    CODE = "code"
    FEATURES = "features"
    STRIP = "strip"


class Relation(StrEnum):
    """What a match is. Only the first says "the same picture"."""

    SAME = "same picture"
    OVERLAP = "overlapping field"
    NEIGHBOUR = "neighbouring plane"
    CHANNEL = "other channel of the same field"
    REPEATING = "repeating structure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which picture in which file.

    Attributes
    ----------
    source : str
        The file's path as it was added.
    scene : int
    channel : int or None
        ``None`` for a colour picture.
    z, t : int or None
        ``None`` where a projection takes all of them.
    projection : str
        ``""`` or ``"max"``.
    """

    source: str
    scene: int = 0
    channel: int | None = None
    z: int | None = None
    t: int | None = None
    projection: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One original that explains a picture, wholly or in part.

    Attributes
    ----------
    where : Where
    evidence : Evidence
    relation : Relation
    placement : Placement or None
        ``None`` where the whole is the same, pixel by pixel.
    inverted : bool
        Whether dark and bright are exchanged.
    inliers : int
        Distinct points that agree on the placement; 0 where points were not used.
    correlation : float
        Of ranks, after alignment, -1 to 1; negative where inverted.
    score : float
        For ranking matches of one search only.
    panel : tuple or None
        Box of the figure that the match covers: left, top, right, bottom, px; ``None`` for all of it.
    """

    where: Where
    evidence: Evidence
    relation: Relation = Relation.SAME
    placement: Placement | None = None
    inverted: bool = False
    inliers: int = 0
    correlation: float = 0.0
    score: float = 0.0
    panel: Box | None = None


class Tone(StrEnum):
    """What happened to brightness."""

    UNCHANGED = "unchanged"
    LINEAR = "linear"
    GAMMA = "gamma"
    MONOTONE = "other monotone"
    NOT_MONOTONE = "not monotone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The transfer curve from original to published values.

    Attributes
    ----------
    tone : Tone
    inverted : bool
        Whether bright became dark.
    black, white : float
        Values of the original that became the least and the greatest published value (0 and 255).
    gamma : float or None
        Exponent, for ``Tone.GAMMA``.
    gamma_interval : tuple[float, float] or None
        95 % interval.
    clipped_low, clipped_high : float
        Share of the compared pixels that the curve made 0 or 255 although they differed, 0 to 1.
    confidence : float
        That ``tone`` is right, 0 to 1.
    rms : float
        Of what the curve leaves, in published grey levels.
    points : tuple of (original value, published value)
        The curve itself, at most 256 points, for a plot.
    """

    tone: Tone
    inverted: bool = False
    black: float
    white: float
    gamma: float | None = None
    gamma_interval: tuple[float, float] | None = None
    clipped_low: float = 0.0
    clipped_high: float = 0.0
    confidence: float = 1.0
    rms: float = 0.0
    points: tuple[tuple[float, float], ...] = ()


class Cause(StrEnum):
    """What a difference looks like."""

    ANNOTATION = "annotation"
    UNEXPLAINED = "not explained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One area that geometry and curve do not explain.

    Attributes
    ----------
    box : tuple[int, int, int, int]
        Left, top, width, height in the published picture, px.
    area_px : int
    cause : Cause
    kind : str
        What it looks like, in words that accuse nobody: ``"text"``, ``"scale bar"``, ``"arrow"``, ``"box"``, ``"line"``
        for annotations; ``"repeats another area"``, ``"detail is missing"``, ``"detail was added"``,
        ``"local contrast"``, ``"blurred"`` or ``""``.
    strength : float
        Greatest deviation, in standard deviations of the noise.
    levels : float
        Greatest deviation, in grey levels of the published picture.
    false_alarms : float
        How many such areas chance would make in a picture of this size.
    covers_px : int
        Pixels of the original's content that an annotation hides; 0 where it hides none.
    """

    box: tuple[int, int, int, int]
    area_px: int
    cause: Cause
    kind: str = ""
    strength: float = 0.0
    levels: float = 0.0
    false_alarms: float = 0.0
    covers_px: int = 0
