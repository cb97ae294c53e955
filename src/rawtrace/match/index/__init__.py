"""Pictures that can be found again among a million: SQL is the truth, segments beside it make it fast."""

from rawtrace.match.index.pictures import PictureIndex

__all__ = ("PictureIndex",)
