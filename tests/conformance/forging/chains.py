"""Cases about ancestors: figures made from sealed, changed, missing, foreign and countless parents."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import cbor2

from forging import handmade
from forging.files import embedded
from forging.folders import zarr
from forging.handmade import Part, read, said
from forging.lab import Lab, case, edit, file_sha256, flip, new_label, seal_of


def family(lab: Lab, out: Path, **options: Any) -> tuple[Path, Path]:
    """A sealed raw file and a sealed figure made from it."""
    raw = lab.sealed(out, "raw.tif")
    figure = lab.data(out, "figure.png", seed=2)
    lab.seal(figure, parents=[raw], **options)
    return raw, figure


def inputs(*items: dict[str, Any]) -> handmade.Said:
    return said("org.rawtrace.inputs", {"version": 1, "inputs": list(items)})


def named(path: Path, title: str, parent: bytes | None = None) -> dict[str, Any]:
    item: dict[str, Any] = {"title": title, "relationship": "parentOf", "sha256": file_sha256(path).hex()}
    if parent is not None:
        claim = read(parent).find("c2pa.claim.v2").value.content
        item["seal"] = {"label": read(parent).label, "claim_sha256": hashlib.sha256(claim).hexdigest()}
    return item


def derive(
    lab: Lab, path: Path, parent: bytes, title: str, *more: handmade.Said, signer: Any = None, **options: Any
) -> bytes:
    """A hand-made seal of ``path`` that names ``parent`` as what it was made from."""
    ingredient = handmade.ingredient(parent, read(parent).label, title)
    signer = lab.hand(signer or lab.workstation)
    return lab.handmade(
        path, signer, before=[parent], more=[ingredient, *more], **({"source_type": "humanEdits"} | options)
    )


@case
def figure_with_sealed_parents(lab: Lab, out: Path) -> None:
    parents = [lab.sealed(out, f"raw-{number}.tif") for number in (1, 2)]
    lab.seal(lab.data(out, "figure.png", seed=2), parents=parents)


@case
def parents_in_another_folder(lab: Lab, out: Path) -> None:
    raw, _ = family(lab, out)
    (out / "originals").mkdir()
    seal_of(raw).rename(out / "originals" / seal_of(raw).name)
    raw.rename(out / "originals" / raw.name)


@case
def parent_embedded(lab: Lab, out: Path) -> None:
    raw = embedded(lab, out, "raw.png")
    lab.seal(lab.data(out, "figure.png", seed=2), parents=[raw])


@case
def parent_file_missing(lab: Lab, out: Path) -> None:
    raw, _ = family(lab, out)
    raw.unlink()
    seal_of(raw).unlink()


@case
def parent_namesake(lab: Lab, out: Path) -> None:
    raw, _ = family(lab, out)
    seal_of(raw).unlink()
    lab.data(out, raw.name, seed=9)


@case
def parent_unsealed(lab: Lab, out: Path) -> None:
    raw = lab.data(out, "raw.tif")
    lab.seal(lab.data(out, "figure.png", seed=2), parents=[raw])


@case
def parent_altered(lab: Lab, out: Path) -> None:
    raw, _ = family(lab, out)
    flip(raw, 100)


@case
def parent_altered_and_its_seal_edited(lab: Lab, out: Path) -> None:
    raw, _ = family(lab, out)
    flip(raw, 100)

    def change(root: Part) -> None:
        found = root.parts[-1].find("c2pa.assertions", "c2pa.hash.data").value
        found.content = cbor2.dumps(cbor2.loads(found.content) | {"hash": file_sha256(raw)})

    edit(seal_of(raw), change)


@case
def parent_embedded_altered(lab: Lab, out: Path) -> None:
    raw = embedded(lab, out, "raw.png")
    lab.seal(lab.data(out, "figure.png", seed=2), parents=[raw])
    flip(raw, -20)


@case
def parent_seal_edited_inside(lab: Lab, out: Path) -> None:
    _, figure = family(lab, out)

    def change(root: Part) -> None:
        found = root.parts[1].find("c2pa.assertions", "org.rawtrace.acquisition").value
        found.content = cbor2.dumps(cbor2.loads(found.content) | {"name": "other.tif"})

    edit(seal_of(figure), change)


@case
def parent_seal_taken_out(lab: Lab, out: Path) -> None:
    _, figure = family(lab, out)
    edit(seal_of(figure), lambda root: root.parts.pop(1))


@case
def parent_untrusted(lab: Lab, out: Path) -> None:
    raw = lab.sealed(out, "raw.tif", signer=lab.impostor)
    lab.seal(lab.data(out, "figure.png", seed=2), parents=[raw])


@case
def parent_broken_but_signed_over(lab: Lab, out: Path) -> None:
    raw = lab.data(out, "raw.tif")
    parent = lab.handmade(raw, lab.hand(lab.instrument), manifest={"cose": {"context": "CounterSignature"}})
    derive(lab, lab.data(out, "figure.png", seed=2), parent, raw.name)


@case
def parent_of_the_wrong_kind(lab: Lab, out: Path) -> None:
    raw = lab.data(out, "raw.tif")
    parent = lab.handmade(raw, lab.hand(lab.workstation))
    derive(lab, lab.data(out, "figure.png", seed=2), parent, raw.name)


@case
def parent_misstated(lab: Lab, out: Path) -> None:
    raw = lab.data(out, "raw.tif")
    parent = lab.handmade(raw, lab.hand(lab.instrument))
    figure = lab.data(out, "figure.png", seed=2)
    derive(lab, figure, parent, raw.name, inputs(named(figure, raw.name, parent)))


@case
def parent_seal_misnamed(lab: Lab, out: Path) -> None:
    raw = lab.data(out, "raw.tif")
    parent = lab.handmade(raw, lab.hand(lab.instrument))
    item = named(raw, raw.name, parent)
    item["seal"]["claim_sha256"] = "0" * 64
    derive(lab, lab.data(out, "figure.png", seed=2), parent, raw.name, inputs(item))


@case
def parent_named_outside_the_folder(lab: Lab, out: Path) -> None:
    (out / "inner").mkdir()
    raw = lab.data(out, "raw.tif")
    parent = lab.handmade(raw, lab.hand(lab.instrument))
    derive(lab, lab.data(out / "inner", "figure.png", seed=2), parent, "../raw.tif")


@case
def parent_is_a_pipe(lab: Lab, out: Path) -> None:
    raw, _ = family(lab, out)
    raw.unlink()
    os.mkfifo(raw)


@case
def parent_folder_intact(lab: Lab, out: Path) -> None:
    folder = zarr(out)
    lab.seal(folder)
    lab.seal(lab.data(out, "figure.png", seed=2), parents=[folder])


@case
def parent_folder_altered(lab: Lab, out: Path) -> None:
    parent_folder_intact(lab, out)
    flip(out / "cells.zarr" / "0" / "0.0", 0)


@case
def parent_folder_replaced(lab: Lab, out: Path) -> None:
    parent_folder_intact(lab, out)
    shutil.rmtree(out / "cells.zarr")
    (out / "cells.zarr.sha256").unlink()
    (out / "cells.zarr.sha256.c2pa").unlink()
    folder = zarr(out, first=b"another acquisition")
    lab.seal(folder)


@case
def parent_folder_unsealed_since(lab: Lab, out: Path) -> None:
    parent_folder_intact(lab, out)
    (out / "cells.zarr.sha256.c2pa").unlink()
    index = out / "cells.zarr.sha256"
    flip(out / "cells.zarr" / "0" / "0.0", 0)
    lines = index.read_text().splitlines()
    lines[0] = hashlib.sha256((out / "cells.zarr" / "0" / "0.0").read_bytes()).hexdigest() + lines[0][64:]
    index.write_text("\n".join(lines) + "\n")


@case
def figure_of_an_instrument(lab: Lab, out: Path) -> None:
    raw = lab.data(out, "raw.tif")
    parent = lab.handmade(raw, lab.hand(lab.instrument))
    figure = lab.data(out, "figure.png", seed=2)
    derive(lab, figure, parent, raw.name, signer=lab.instrument, source_type="digitalCapture")


@case
def ingredient_cycle(lab: Lab, out: Path) -> None:
    path, signer = lab.data(out), lab.hand(lab.workstation)
    one, two = new_label(), new_label()
    stated = [*lab.statements(path, signer, source_type="humanEdits").values()]
    first = handmade.manifest(stated, signer, label=one)
    second = handmade.manifest([*stated, handmade.ingredient(first, one, "b.tif")], signer, label=two)
    first = handmade.manifest([*stated, handmade.ingredient(second, two, "a.tif")], signer, label=one)
    seal_of(path).write_bytes(handmade.store(first, second))


@case
def ingredient_is_itself(lab: Lab, out: Path) -> None:
    path, signer, label = lab.data(out), lab.hand(lab.workstation), new_label()
    made = lab.handmade(path, signer, label=label, source_type="humanEdits")
    lab.handmade(
        path, signer, label=label, source_type="humanEdits", more=[handmade.ingredient(made, label, path.name)]
    )


# Depth and number.


def generations(lab: Lab, out: Path, count: int) -> Path:
    """A chain by hand: each file is made from the one before."""
    made: list[bytes] = []
    path = out / "none"
    for number in range(count):
        path = lab.data(out, f"generation-{number:03d}.tif", size=64, seed=number)
        if not made:
            made.append(lab.handmade(path, lab.hand(lab.instrument)))
            continue
        signer = lab.hand(lab.workstation)
        before = f"generation-{number - 1:03d}.tif"
        more = [
            handmade.ingredient(made[-1], read(made[-1]).label, before),
            inputs(named(out / before, before, made[-1])),
        ]
        box = lab.handmade(path, signer, before=made, more=more, source_type="humanEdits")
        made.append(box)
    return path


@case
def generations_200(lab: Lab, out: Path) -> None:
    generations(lab, out, 200)


@case
def generations_201_are_refused(lab: Lab, out: Path) -> None:
    generations(lab, out, 200)
    lab.data(out, "next.tif", seed=999)
    shutil.copytree(lab.workstation.folder, out / "workstation")


@case
def ancestors_unsealed_2100(lab: Lab, out: Path) -> None:
    path = lab.data(out)
    items = [{"title": f"raw-{number}.tif", "relationship": "componentOf"} for number in range(2_100)]
    lab.handmade(path, lab.hand(lab.workstation), source_type="composite", more=[inputs(*items)])


@case
def ancestors_sealed_2001(lab: Lab, out: Path) -> None:
    path, signer = lab.data(out), lab.hand(lab.instrument)
    stated = [lab.statements(path, signer)["c2pa.hash.data"]]
    parents = [handmade.manifest(stated, signer, label=new_label()) for _ in range(2_001)]
    more = [
        handmade.ingredient(parent, read(parent).label, "raw.tif", instance=number, relationship="componentOf")
        for number, parent in enumerate(parents)
    ]
    lab.handmade(path, lab.hand(lab.workstation), source_type="composite", before=parents, more=more)


@case
def ancestors_listed_to_exhaust(lab: Lab, out: Path) -> None:
    path = lab.data(out)
    ingredients = [
        said(f"c2pa.ingredient.v3__{number}", {"relationship": "componentOf", "dc:title": f"i{number}"})
        for number in range(1, 1_000)
    ]
    items = [{"title": f"x{number}", "sha256": ""} for number in range(60_000)]
    lab.handmade(path, lab.hand(lab.workstation), source_type="composite", more=[*ingredients, inputs(*items)])


@case
def ingredients_without_number(lab: Lab, out: Path) -> None:
    path = lab.data(out)
    ingredients = [
        said(f"c2pa.ingredient.v3__{number}", {"relationship": "componentOf", "dc:title": f"i{number}"})
        for number in range(1, 5_000)
    ]
    lab.handmade(path, lab.hand(lab.workstation), source_type="composite", more=ingredients)
