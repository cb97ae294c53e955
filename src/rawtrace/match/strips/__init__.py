"""Strips of blots and gels, found by dense matching where local features are silent."""

from rawtrace.match.strips.features import StripFeatures, looks_like_blot, strip_features
from rawtrace.match.strips.find import Original, find_strip

__all__ = ["Original", "StripFeatures", "find_strip", "looks_like_blot", "strip_features"]
