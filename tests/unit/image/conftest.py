"""Small files made by code: OME-TIFF, OME-Zarr, PNG, JPEG and DICOM."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

OME = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:00000000-0000-4000-8000-000000000001">
  <Experimenter ID="Experimenter:0" FirstName="Zaphod" LastName="Quillfeather" UserName="zquill"
    Email="zaphod@lab.example" Institution="Quillfeather Institute"/>
  <Instrument ID="Instrument:0">
    <Microscope Manufacturer="Acme Optics" Model="Scope 9" SerialNumber="SN-4711" Type="Inverted"/>
    <Laser ID="LightSource:0" Manufacturer="Beam Works" Wavelength="488" Power="20"/>
    <Detector ID="Detector:0" Manufacturer="Chip Works" Model="Cam 3" Type="CMOS"/>
    <Objective ID="Objective:0" Model="10x air" NominalMagnification="10" LensNA="0.3"/>
    <Objective ID="Objective:1" Model="60x oil" NominalMagnification="60" LensNA="1.4" Immersion="Oil"
      WorkingDistance="0.13" WorkingDistanceUnit="mm"/>
  </Instrument>
  <Image ID="Image:0" Name="C:\\Users\\zquill\\secret sample.tif">
    <AcquisitionDate>2026-03-01T10:20:30.5+01:00</AcquisitionDate>
    <ExperimenterRef ID="Experimenter:0"/>
    <Description>for Zaphod's thesis</Description>
    <InstrumentRef ID="Instrument:0"/>
    <ObjectiveSettings ID="Objective:1" RefractiveIndex="1.515"/>
    <Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="40" SizeY="30" SizeZ="3" SizeC="2" SizeT="1"
      PhysicalSizeX="108" PhysicalSizeXUnit="nm" PhysicalSizeY="0.108" PhysicalSizeZ="0.3">
      <Channel ID="Channel:0:0" Name="DAPI" SamplesPerPixel="1" ExcitationWavelength="405" Color="65535"/>
      <Channel ID="Channel:0:1" Name="GFP" SamplesPerPixel="1" EmissionWavelength="0.525" EmissionWavelengthUnit="µm"/>
      <TiffData IFD="0" PlaneCount="6"/>
      <Plane TheZ="0" TheC="0" TheT="0" DeltaT="500" DeltaTUnit="ms" ExposureTime="0.02"
        PositionX="1" PositionXUnit="mm" PositionY="2" PositionYUnit="mm" PositionZ="3" PositionZUnit="µm"/>
      <Plane TheZ="0" TheC="1" TheT="0" ExposureTime="0.05" PositionX="7"/>
    </Pixels>
  </Image>
</OME>"""


@pytest.fixture
def ome_xml() -> str:
    return OME


@pytest.fixture
def ome_tiff(tmp_path: Path) -> Callable[..., Path]:
    """Write an OME-TIFF of some planes with any description."""

    def make(xml: str = OME, *, planes: int = 6, name: str = "cells.ome.tif") -> Path:
        path = tmp_path / name
        with tifffile.TiffWriter(path, ome=False, shaped=False) as writer:
            for index in range(planes):
                plane = np.full((30, 40), 100 * (index + 1), np.uint16)
                plane[:, :20] = 0
                writer.write(plane, description=xml.encode() if index == 0 else None, metadata=None, contiguous=False)
        return path

    return make


@pytest.fixture
def ome_zarr(tmp_path: Path) -> Callable[..., Path]:
    """Write an OME-Zarr 0.5 (Zarr 3, uncompressed), one chunk a plane, all chunks or some."""

    def make(
        shape: tuple[int, ...] = (2, 2, 3, 8, 10),
        *,
        skip: tuple[tuple[int, ...], ...] = (),
        attributes: dict[str, object] | None = None,
        name: str = "cells.ome.zarr",
    ) -> Path:
        root = tmp_path / name
        (root / "0").mkdir(parents=True)
        axes = [{"name": "t", "type": "time", "unit": "second"}, {"name": "c", "type": "channel"}]
        axes += [{"name": each, "type": "space", "unit": "nanometer"} for each in "zyx"]
        scale = {"type": "scale", "scale": [5.0, 1.0, 300.0, 65.0, 65.0]}
        ome = {
            "version": "0.5",
            "multiscales": [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": [scale]}]}],
            "omero": {"channels": [{"label": "DAPI", "color": "0000FF"}, {"label": "GFP"}]},
        }
        group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome, **(attributes or {})}}
        (root / "zarr.json").write_text(json.dumps(group), encoding="utf-8")
        array = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(shape),
            "data_type": "uint16",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 1, 1, *shape[-2:]]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "fill_value": 0,
        }
        (root / "0" / "zarr.json").write_text(json.dumps(array), encoding="utf-8")
        for index in np.ndindex(*shape[:-2]):
            if tuple(index) in skip:
                continue
            chunk = root.joinpath("0", "c", *map(str, index), "0", "0")
            chunk.parent.mkdir(parents=True, exist_ok=True)
            plane = np.arange(shape[-1] * shape[-2], dtype="<u2") * (1 + sum(index))
            chunk.write_bytes(plane.tobytes())
        return root

    return make


def png_chunk(name: bytes, data: bytes) -> bytes:
    """Return a PNG chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.fixture
def png(tmp_path: Path) -> Callable[..., Path]:
    """Write a grey PNG with any further chunks before its pixels."""

    def make(*chunks: tuple[bytes, bytes], width: int = 12, height: int = 8, pixels: bytes | None = None) -> Path:
        path = tmp_path / "picture.png"
        if pixels is None:
            pixels = zlib.compress(bytes(x % 256 for _ in range(height) for x in range(width + 1)))
        data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        data += b"".join(png_chunk(name, content) for name, content in chunks)
        data += png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
        path.write_bytes(data)
        return path

    return make
