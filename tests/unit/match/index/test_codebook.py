from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rawtrace.errors import PictureIndexError
from rawtrace.match.features import Features
from rawtrace.match.index import codebook as books
from rawtrace.match.index.codebook import BITS, CELLS, DIRECTIONS, HALF, WORDS, codebook, encode, probes


@pytest.mark.parametrize("data", [b"", b"x" * 69_631, b"x" * 69_633])
def test_a_damaged_book_is_refused(data: bytes) -> None:
    with pytest.raises(PictureIndexError, match="the codebook has"):
        books.parse(data)


def test_the_book_never_changes() -> None:
    assert codebook().digest.hex() == "12214069968b9e6a"


def test_cells_and_bits_are_those_of_exact_arithmetic(described: Callable[[int], Features]) -> None:
    found = described(1).descriptors
    cells, signatures = encode(found)
    book = codebook()
    words, directions = book.words.astype(np.int64), book.directions.astype(np.int64)
    for row, cell, signature in zip(found[:40].astype(np.int64), cells, signatures, strict=False):
        nearest, bits = [], np.zeros((DIRECTIONS, 2), bool)
        for side in (0, 1):
            half = row[side * HALF : (side + 1) * HALF]
            nearest.append(int(((words[side] - half) ** 2).sum(axis=1).argmin()))
            bits[:, side] = (half - words[side][nearest[side]]) @ directions[side] > 0
        assert cell == nearest[0] * WORDS + nearest[1]
        assert int(signature) == int("".join("01"[int(bit)] for bit in bits.reshape(-1)), 2)


def test_the_first_probe_is_the_own_cell_and_the_others_are_further_away(described: Callable[[int], Features]) -> None:
    found = described(2).descriptors[:50]
    asked = probes(found, cells=16)
    cells, signatures = encode(found)
    own = asked.cell.reshape(50, 16)
    assert (own[:, 0] == cells).all()
    assert (asked.signature.reshape(50, 16)[:, 0] == signatures).all()
    assert all(len(set(row)) == 16 for row in own)
    words = codebook().words
    halves = found.reshape(50, 2, HALF).astype(float)
    far = [
        ((halves - words[[0, 1], np.stack([own[:, n] // WORDS, own[:, n] % WORDS], 1)]) ** 2).sum((1, 2))
        for n in range(16)
    ]
    assert (np.diff(far, axis=0) >= 0).all()


def test_nothing_has_no_probes() -> None:
    asked = probes(np.zeros((0, 128), np.uint8), cells=16)
    assert len(asked.cell) == 0
    assert [len(one) for one in encode(np.zeros((0, 128), np.uint8))] == [0, 0]


def test_extreme_descriptors_stay_exact() -> None:
    # Sums stay below 2^24, where float32 knows every whole number.
    book = codebook()
    assert 255 * 255 * HALF * 2 < 1 << 24
    assert np.abs(book.directions).sum(axis=1).max() * 255 < 1 << 24
    cells, _ = encode(np.array([[0] * 128, [255] * 128], np.uint8))
    assert (cells < CELLS).all()
    assert BITS == 64
