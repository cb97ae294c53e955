"""Other people's verifiers on seals that a gateway has counter-signed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import c2pa
import pytest
from toolbox import Toolbox

from rawtrace.sealing.gateway import countersign
from rawtrace.sealing.seal import seal
from rawtrace.trust import authority as authorities
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.keys import Algorithm
from rawtrace.trust.timeauthority import TimeAuthority, create_time_authority
from rawtrace.trust.trustlist import read_list

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module", params=list(Algorithm), ids=str)
def sealed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, new_identity: Any) -> Path:
    """A file whose seal two institutions have counter-signed; its authority lies beside it."""
    folder = tmp_path_factory.mktemp(f"counter-{request.param}")
    above = folder / "authority"
    authorities.create_authority(above, name="Example Authority")
    create_time_authority(folder / "time", authority=above)
    clock = TimeAuthority(folder / "time")
    lists = (read_list((above / "trust-list.jws").read_bytes(), source="test"),)
    path = folder / "cells.tif"
    path.write_bytes(b"II*\0" + b"pixels" * 99)
    made = seal(path, signer=new_identity(SignerKind.INSTRUMENT, authority=above, algorithm=request.param))
    assert made.sidecar is not None
    data = made.sidecar.read_bytes()
    for name in ("Example Archive", "Example Library"):
        signer = new_identity(SignerKind.REPOSITORY, authority=above, algorithm=request.param, name=name)
        data = countersign(data, signer=signer, stamp=lambda query: clock.answer(query).body, lists=lists).store
    made.sidecar.write_bytes(data)
    return path


def of(path: Path) -> tuple[Path, Path, Path]:
    return path, path.with_name("cells.tif.c2pa"), path.with_name("authority") / "root.pem"


@pytest.mark.parametrize("program", [pytest.param("c2patool", id="c2patool,")])
def test_c2patool(program: str, sealed: Path, toolbox: Toolbox, need: Any) -> None:
    need(program)
    path, sidecar, root = of(sealed)
    assert toolbox.c2patool(path, sidecar, root).startswith("Trusted")
    path.with_name("other.tif").write_bytes(b"other pixels")
    assert "dataHash.mismatch" in toolbox.c2patool(path.with_name("other.tif"), sidecar, root)


@pytest.mark.parametrize("program", [pytest.param("c2pa-ts", id="c2pa-ts,")])
def test_c2pa_ts(program: str, sealed: Path, toolbox: Toolbox, need: Any) -> None:
    """It refuses what the C2PA library itself stamps or updates, in these words; this tells when it has learnt it."""
    need(program)
    path, sidecar, _ = of(sealed)
    assert toolbox.c2pa_ts(path, sidecar) == "invalid: signingCredential.invalid"


@pytest.mark.parametrize("program", [pytest.param("c2pa-python", id="c2pa-python,")])
def test_the_library_reads_our_stamps_as_trusted(program: str, sealed: Path) -> None:
    """Two stamps for each update: over its own signature, and over those before it."""
    path, sidecar, root = of(sealed)
    clock = path.with_name("time") / "certificate.pem"
    anchors = [
        {"trust_anchors": root.read_text(), "trust_uri": "urn:example:seals", "trust_kind": "manifest"},
        {"trust_anchors": clock.read_text() + root.read_text(), "trust_uri": "urn:example:time", "trust_kind": "tsa"},
    ]
    context = c2pa.Context.from_dict(
        {
            "trust": {"anchors": anchors, "trust_config": "1.3.6.1.5.5.7.3.36"},
            "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
        }
    )
    with path.open("rb") as asset:
        reader = c2pa.Reader(
            "application/octet-stream", io.BytesIO(asset.read()), manifest_data=sidecar.read_bytes(), context=context
        )
    results = reader.get_validation_results()
    codes = [one["code"] for one in results["activeManifest"]["success"]]
    assert reader.get_validation_state() == "Trusted", json.dumps(results)
    assert {"timeStamp.validated", "timeStamp.trusted", "assertion.dataHash.match"} <= set(codes)
    assert len(json.loads(reader.json())["manifests"]) == 3
