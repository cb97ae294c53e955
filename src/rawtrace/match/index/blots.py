"""A view of an index that may be a blot or a gel, as the search for strips wants it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.match.index.records import IndexedView
from rawtrace.match.model import Where
from rawtrace.match.strips.features import StripFeatures

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IndexedBlot:
    """One original of ``rawtrace.match.strips.find_strip``.

    Attributes
    ----------
    where : Where
    size : tuple[int, int]
        Width and height of the scene, px.
    reduction : int
        How many pixels of the scene one of the view averages, along each axis.
    packed : bytes
        Its reduced copy, as stored.
    number : int
        Of the view.
    render : callable
        Renders a view again by its number; ``None`` where its file is not at hand.
    """

    where: Where
    size: tuple[int, int]
    reduction: int
    packed: bytes
    number: int
    render: Callable[[int], NDArray[Any] | None]

    @classmethod
    def of(cls, view: IndexedView, packed: bytes, render: Callable[[int], NDArray[Any] | None]) -> IndexedBlot:
        """Make one of what an index holds."""
        return cls(
            where=view.where,
            size=view.size,
            reduction=view.reduction,
            packed=packed,
            number=view.number,
            render=render,
        )

    def check(self) -> None:
        """Read the reduced copy.

        Raises
        ------
        PixelsError
            It is damaged.
        """
        StripFeatures.from_bytes(self.packed)

    @property
    def strip(self) -> StripFeatures:
        """The reduced copy.

        Raises
        ------
        PixelsError
            It is damaged.
        """
        return StripFeatures.from_bytes(self.packed)

    def pixels(self) -> NDArray[Any] | None:
        """Return the view itself."""
        return self.render(self.number)
