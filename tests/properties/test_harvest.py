"""Whatever bytes come: a harvest, names of the vocabulary only, JSON scalars only, bounded."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from rawtrace.image import vocabulary
from rawtrace.image.collect import MAX_STRING_BYTES, MAX_VALUES
from rawtrace.image.completeness import completeness
from rawtrace.image.metadata import harvest

HEADS = st.sampled_from(
    [
        b"",
        b"II*\x00\x08\x00\x00\x00",
        b"MM\x00*\x00\x00\x00\x08",
        b"II+\x00\x08\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe1\x00\x20Exif\x00\x00II*\x00\x08\x00\x00\x00",
        b"\x00" * 128 + b"DICM",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


def check(path: Path) -> None:
    found = harvest(path)
    json.dumps(asdict(found), allow_nan=False)
    assert len(found.values) <= MAX_VALUES
    for value in found.values:
        term = vocabulary.term(value.name)
        assert term is not None, value.name
        assert not term.personal
        assert type(value.value) is term.kind
        assert not isinstance(value.value, str) or 0 < len(value.value.encode()) <= MAX_STRING_BYTES
        assert value.source
    completeness(path)


@settings(max_examples=150, deadline=None)
@given(head=HEADS, tail=st.binary(max_size=400))
def test_any_bytes(head: bytes, tail: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any"
        path.write_bytes(head + tail)
        check(path)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_ome_attributes(data: st.DataObject) -> None:
    odd = st.sampled_from(
        ["1", "-1", "0.5", "1e400", "nan", "", "x" * 5_000, "4294967296", "µm", "2026-01-01T00:00:00Z"]
    )
    names = ("SizeX", "SizeZ", "Type", "PhysicalSizeX", "PhysicalSizeXUnit", "TimeIncrement", "DimensionOrder")
    attributes = " ".join(f'{name}="{data.draw(odd)}"' for name in names)
    plane = " ".join(f'{name}="{data.draw(odd)}"' for name in ("TheC", "TheZ", "DeltaT", "ExposureTime", "PositionX"))
    block = " ".join(f'{name}="{data.draw(odd)}"' for name in ("IFD", "PlaneCount"))
    inner = f'<Channel Name="{data.draw(odd)}" Color="{data.draw(odd)}"/><TiffData {block}/><Plane {plane}/>'
    image = f"<AcquisitionDate>{data.draw(odd)}</AcquisitionDate><Pixels {attributes}>{inner}</Pixels>"
    xml = f"<OME><Image>{image}</Image></OME>"
    body = xml.encode() + b"\x00"
    entry = (270).to_bytes(2, "little") + (2).to_bytes(2, "little") + len(body).to_bytes(4, "little")
    head = b"II*\x00\x08\x00\x00\x00\x01\x00" + entry + (26).to_bytes(4, "little") + bytes(4)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.ome.tif"
        path.write_bytes(head + body)
        check(path)


@settings(max_examples=100, deadline=None)
@given(group=JSON, array=JSON, summary=JSON, frames=JSON)
def test_any_zarr_json(group: object, array: object, summary: object, frames: object) -> None:
    multiscale = {
        "axes": group,
        "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": array}]}],
    }
    attributes = {
        "ome": {"version": summary, "multiscales": [multiscale], "omero": {"channels": group}},
        "pymmcore_plus": {"summary_metadata": summary},
        "ome_writers": {"frame_metadata": frames},
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "0").mkdir()
        (root / "zarr.json").write_text(json.dumps({"attributes": attributes}), encoding="utf-8")
        (root / "0" / "zarr.json").write_text(
            json.dumps({"node_type": "array", "shape": array, "chunk_grid": group}), encoding="utf-8"
        )
        check(root)


def test_every_term_is_described_once() -> None:
    patterns = [term.pattern for term in vocabulary.TERMS]
    assert len(patterns) == len(set(patterns))
    assert all(term.meaning for term in vocabulary.TERMS)
    assert all(term.pattern.startswith("personal.") == term.personal for term in vocabulary.TERMS)
    assert vocabulary.term("scene.3.channel.12.exposure_s") is not None
    assert vocabulary.term("channel.x.name") is None
    assert vocabulary.term("channel.01.name") is None
