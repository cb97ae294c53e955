"""A match in words and as JSON types; one way to say it for every command, page and service."""

from __future__ import annotations

from typing import Any

from rawtrace.match.comparison.words import placement_words
from rawtrace.match.model import Evidence, Match, Placement, Relation, Where

_EVIDENCE = {
    Evidence.SEAL: "its seal",
    Evidence.PIXELS: "identical pixels",
    Evidence.CODE: "its code, and the pixels after turning",
    Evidence.FEATURES: "{} points that agree on one place",
    Evidence.STRIP: "the strip itself, lane by lane",
}


def where_words(where: Where) -> str:
    """Say which picture of a file it is: ``scene 0, z=3, c=1, t=0``."""
    said = [f"scene {where.scene}"]
    places = (("z", where.z), ("c", where.channel), ("t", where.t))
    said += [f"{name}={value}" for name, value in places if value is not None]
    if where.projection:
        said.append(f"{where.projection} projection along z")
    return ", ".join(said)


def evidence_words(match: Match) -> str:
    """Say by which evidence, as in ``same picture, by 121 points that agree on one place``."""
    by = _EVIDENCE[match.evidence].format(match.inliers)
    if match.relation is Relation.REPEATING:
        return f"{match.relation}: several places fit about as well, by {by}"
    return f"{match.relation}, by {by}"


def transform_words(match: Match) -> str:
    """Say what became of an original on its way into a picture."""
    if match.placement is None:
        return "the whole picture, pixel by pixel" if match.evidence is Evidence.PIXELS else "the whole picture"
    said = placement_words(match.placement)
    words = ", ".join(part for part in (said, "inverted" if match.inverted else "") if part)
    if said.startswith("cropped"):
        left, top, right, bottom = match.placement.crop_box
        width, height = match.placement.original_size
        across, down = (
            f"{max(0.0, left):.0f} to {min(right, width):.0f}",
            f"{max(0.0, top):.0f} to {min(bottom, height):.0f}",
        )
        words += f"; x {across}, y {down} of the original"
    return words or "the whole picture, in its place"


def changed_words(placement: Placement, *, inverted: bool = False) -> str:
    """Say how one picture became another, in numbers: ``mirrored, turned by 90°, scaled by 0.50``."""
    said = ["mirrored"] if placement.mirrored else []
    if abs(placement.rotation_deg) >= 0.5:
        said.append(f"turned by {placement.rotation_deg:.0f}°")
    if abs(placement.scale - 1) >= 0.02:
        said.append(f"scaled by {placement.scale:.2f}")
    if inverted:
        said.append("inverted")
    return ", ".join(said) or "neither turned nor scaled"


def match_value(match: Match) -> dict[str, Any]:
    """Return a match as JSON types."""
    where = match.where
    return {
        "source": where.source,
        "scene": where.scene,
        "channel": where.channel,
        "z": where.z,
        "t": where.t,
        "projection": where.projection,
        "evidence": str(match.evidence),
        "relation": str(match.relation),
        "inliers": match.inliers,
        "correlation": round(match.correlation, 4),
        "inverted": match.inverted,
        "panel": None if match.panel is None else [round(edge, 2) for edge in match.panel],
        "placement": None if match.placement is None else match.placement.to_dict(),
        "words": transform_words(match),
    }
