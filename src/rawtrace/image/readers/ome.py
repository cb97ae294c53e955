"""From a parsed OME-XML tree to values: instrument, scenes, channels, planes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.etree.ElementTree import Element

from rawtrace import strictjson
from rawtrace.errors import Error
from rawtrace.image import units
from rawtrace.image.collect import Collector, to_number
from rawtrace.image.readers import micromanager
from rawtrace.image.readers.planes import Plane, add_planes

MAX_SCENES = 64
MAX_CHANNELS = 64
MAX_PARTS = 32
_MAX_SUMMARY_BYTES = 16 << 20
_LIGHT_SOURCES = ("Laser", "LightEmittingDiode", "Arc", "Filament", "GenericExcitationSource")


def add_ome(found: Collector, root: Element) -> None:
    """Take what is on the allow-list from OME-XML.

    Where the description covers several files, only the scenes that lie in this
    one are taken: those whose ``TiffData`` bears the document's own UUID.
    """
    scenes = scenes_of_file(root)
    if root.find("BinaryOnly") is not None:
        found.note("the OME-XML here only points to another file, which was not opened")
    if not scenes:
        return
    found.add("scene.count", len(scenes), "OME-XML Image")
    found.add("file.software", root.get("Creator"), "OME-XML @Creator")
    summary = _summary(found, root)
    _add_instrument(found, root, scenes[0][1])
    for number, (index, image) in enumerate(scenes[:MAX_SCENES]):
        prefix = f"scene.{number}." if number else ""
        _add_scene(found, image, prefix, f"OME-XML Image[{index}]", in_um=summary is not None)
    if len(scenes) > MAX_SCENES:
        found.note(f"{len(scenes)} scenes are described; the first {MAX_SCENES} were taken")
    if summary is not None:
        micromanager.add_summary(found, summary, f"OME-XML MapAnnotation {micromanager.NAMESPACE}")
    if found.personal:
        _add_personal(found, root, scenes[0][1])


def scenes_of_file(root: Element) -> list[tuple[int, Element]]:
    """Return the images whose planes lie in this very file, with their place in the document."""
    images = list(enumerate(root.findall("Image")))
    own = root.get("UUID")
    mine = [
        pair for pair in images if own and own in {(u.text or "").strip() for u in pair[1].iterfind(".//TiffData/UUID")}
    ]
    return mine or images


def _add_scene(found: Collector, image: Element, prefix: str, where: str, *, in_um: bool) -> None:
    moment = (image.findtext("AcquisitionDate") or "").strip()
    found.add(f"{prefix}acquisition.time", moment, f"{where}/AcquisitionDate")
    pixels = image.find("Pixels")
    if pixels is None:
        return
    where = f"{where}/Pixels"
    for axis in "XYZCT":
        found.add(f"{prefix}pixels.size_{axis.lower()}", pixels.get(f"Size{axis}"), f"{where}/@Size{axis}")
    for axis in "XYZ":
        name = f"PhysicalSize{axis}"
        found.add(f"{prefix}pixels.physical_size_{axis.lower()}_um", _length(pixels, name), f"{where}/@{name}")
    found.add(f"{prefix}pixels.type", pixels.get("Type") or pixels.get("PixelType"), f"{where}/@Type")
    found.add(f"{prefix}pixels.dimension_order", pixels.get("DimensionOrder"), f"{where}/@DimensionOrder")
    found.add(f"{prefix}pixels.significant_bits", pixels.get("SignificantBits"), f"{where}/@SignificantBits")
    found.add(f"{prefix}pixels.time_increment_s", _duration(pixels, "TimeIncrement"), f"{where}/@TimeIncrement")
    for index, channel in enumerate(pixels.findall("Channel")[:MAX_CHANNELS]):
        _add_channel(found, channel, f"{prefix}channel.{index}", f"{where}/Channel[{index}]")
    planes = [_plane(plane, f"{where}/Plane[{n}]", in_um=in_um) for n, plane in enumerate(pixels.findall("Plane"))]
    add_planes(found, planes, prefix)


def _add_channel(found: Collector, channel: Element, head: str, where: str) -> None:
    texts = {
        "Name": "name",
        "Fluor": "fluorophore",
        "ContrastMethod": "contrast_method",
        "IlluminationType": "illumination",
        "AcquisitionMode": "acquisition_mode",
    }
    for attribute, name in texts.items():
        found.add(f"{head}.{name}", channel.get(attribute), f"{where}/@{attribute}")
    for attribute, name in (("ExcitationWavelength", "excitation_nm"), ("EmissionWavelength", "emission_nm")):
        length = _length(channel, attribute, default="nm")
        found.add(f"{head}.{name}", None if length is None else _tidy(length * 1000), f"{where}/@{attribute}")
    found.add(f"{head}.pinhole_um", _length(channel, "PinholeSize"), f"{where}/@PinholeSize")
    colour = to_number(channel.get("Color"))
    if isinstance(colour, int) and channel.get("Color") != "-1":
        found.add(f"{head}.colour", f"{(colour & 0xFFFFFFFF) >> 8:06X}", f"{where}/@Color")
    detector = channel.find("DetectorSettings")
    if detector is not None:
        source = f"{where}/DetectorSettings"
        found.add(f"{head}.binning", detector.get("Binning"), f"{source}/@Binning")
        found.add(f"{head}.detector_gain", detector.get("Gain"), f"{source}/@Gain")
        found.add(f"{head}.detector_offset", detector.get("Offset"), f"{source}/@Offset")
        if detector.get("VoltageUnit", "V") == "V":
            found.add(f"{head}.detector_voltage_v", detector.get("Voltage"), f"{source}/@Voltage")
    light = channel.find("LightSourceSettings")
    if light is not None:
        found.add(f"{head}.attenuation", light.get("Attenuation"), f"{where}/LightSourceSettings/@Attenuation")


def _plane(plane: Element, where: str, *, in_um: bool) -> Plane:
    def at(name: str) -> int:
        number = to_number(plane.get(name))
        return number if isinstance(number, int) else 0

    stated = [plane.get(f"Position{axis}Unit") for axis in "XYZ"]
    known = all(unit is not None and units.in_um(1.0, unit) is not None for unit in stated)
    position = tuple(
        _length(plane, f"Position{axis}") if known else to_number(plane.get(f"Position{axis}")) for axis in "XYZ"
    )
    return Plane(
        z=at("TheZ"),
        c=at("TheC"),
        t=at("TheT"),
        time_s=_duration(plane, "DeltaT"),
        exposure_s=_duration(plane, "ExposureTime"),
        position=position,
        # OME's default unit is the stage's own frame; Micro-Manager's stages count in µm.
        in_um=known or (in_um and not any(stated)),
        source=where,
    )


def _add_instrument(found: Collector, root: Element, image: Element) -> None:
    reference = image.find("InstrumentRef")
    instruments = root.findall("Instrument")
    wanted = reference.get("ID") if reference is not None else None
    instrument = next((each for each in instruments if wanted is None or each.get("ID") == wanted), None)
    if instrument is None:
        return
    where = "OME-XML Instrument"
    microscope = instrument.find("Microscope")
    if microscope is not None:
        _add_maker(found, "instrument", microscope, f"{where}/Microscope")
        found.add("instrument.type", microscope.get("Type"), f"{where}/Microscope/@Type")
    settings = image.find("ObjectiveSettings")
    objectives = instrument.findall("Objective")
    lens = settings.get("ID") if settings is not None else None
    chosen = [each for each in objectives if each.get("ID") == lens] if lens else objectives
    if len(chosen) == 1:
        _add_objective(found, chosen[0], settings, f"{where}/Objective")
    elif len(objectives) > 1:
        found.note("several objectives are listed and the image does not say which was used")
    for index, detector in enumerate(instrument.findall("Detector")[:MAX_PARTS]):
        _add_maker(found, f"detector.{index}", detector, f"{where}/Detector[{index}]")
        found.add(f"detector.{index}.type", detector.get("Type"), f"{where}/Detector[{index}]/@Type")
    _add_lights(found, instrument, where)
    _add_environment(found, image)


def _add_objective(found: Collector, objective: Element, settings: Element | None, where: str) -> None:
    _add_maker(found, "objective", objective, where)
    found.add("objective.magnification", objective.get("NominalMagnification"), f"{where}/@NominalMagnification")
    calibrated = objective.get("CalibratedMagnification")
    found.add("objective.calibrated_magnification", calibrated, f"{where}/@CalibratedMagnification")
    found.add("objective.numerical_aperture", objective.get("LensNA"), f"{where}/@LensNA")
    found.add("objective.immersion", objective.get("Immersion"), f"{where}/@Immersion")
    found.add("objective.correction", objective.get("Correction"), f"{where}/@Correction")
    found.add("objective.working_distance_um", _length(objective, "WorkingDistance"), f"{where}/@WorkingDistance")
    if settings is not None:
        index = settings.get("RefractiveIndex")
        found.add("objective.refractive_index", index, "OME-XML ObjectiveSettings/@RefractiveIndex")


def _add_lights(found: Collector, instrument: Element, where: str) -> None:
    # Older schemas wrap the kind in a LightSource element.
    lights = [each for each in instrument.iter() if each.tag in _LIGHT_SOURCES]
    for index, light in enumerate(lights[:MAX_PARTS]):
        source = f"{where}/{light.tag}"
        _add_maker(found, f"light_source.{index}", light, source)
        found.add(f"light_source.{index}.type", light.tag, source)
        if light.get("PowerUnit", "mW") == "mW":
            found.add(f"light_source.{index}.power_mw", light.get("Power"), f"{source}/@Power")
        length = _length(light, "Wavelength", default="nm")
        nanometres = None if length is None else _tidy(length * 1000)
        found.add(f"light_source.{index}.wavelength_nm", nanometres, f"{source}/@Wavelength")


def _add_environment(found: Collector, image: Element) -> None:
    environment = image.find("ImagingEnvironment")
    if environment is None:
        return
    where = "OME-XML ImagingEnvironment"
    if environment.get("TemperatureUnit", "°C") == "°C":
        found.add("environment.temperature_c", environment.get("Temperature"), f"{where}/@Temperature")
    if environment.get("AirPressureUnit", "mbar") == "mbar":
        found.add("environment.pressure_mbar", environment.get("AirPressure"), f"{where}/@AirPressure")
    found.add("environment.humidity", environment.get("Humidity"), f"{where}/@Humidity")
    found.add("environment.co2", environment.get("CO2Percent"), f"{where}/@CO2Percent")


def _add_personal(found: Collector, root: Element, image: Element) -> None:
    reference = image.find("ExperimenterRef")
    people = root.findall("Experimenter")
    wanted = reference.get("ID") if reference is not None else None
    person = next((each for each in people if wanted is None or each.get("ID") == wanted), None)
    if person is not None:
        where = "OME-XML Experimenter"
        names = " ".join(filter(None, (person.get("FirstName"), person.get("LastName"))))
        found.add("personal.operator", names or person.get("UserName"), where)
        found.add("personal.email", person.get("Email"), f"{where}/@Email")
        found.add("personal.institution", person.get("Institution"), f"{where}/@Institution")
    found.add("personal.scene_name", image.get("Name"), "OME-XML Image/@Name")
    found.add("personal.description", image.findtext("Description"), "OME-XML Image/Description")


def _summary(found: Collector, root: Element) -> object:
    for annotation in root.iterfind("StructuredAnnotations/MapAnnotation"):
        if annotation.get("Namespace") != micromanager.NAMESPACE:
            continue
        for entry in annotation.iterfind("Value/M"):
            if entry.get("K") == "summary_metadata_json":
                return _json(found, entry.text or "")
    return None


def _json(found: Collector, text: str) -> object:
    try:
        return strictjson.loads(text, what="the summary", max_bytes=_MAX_SUMMARY_BYTES)
    except Error:
        # The message may quote a key, and keys are not on any list.
        found.note(f"OME-XML MapAnnotation {micromanager.NAMESPACE} is not readable JSON")
        return None


def _add_maker(found: Collector, head: str, part: Element, where: str) -> None:
    for attribute, name in (("Manufacturer", "manufacturer"), ("Model", "model"), ("SerialNumber", "serial")):
        found.add(f"{head}.{name}", part.get(attribute), f"{where}/@{attribute}")


def _length(element: Element, name: str, *, default: str = "µm") -> float | None:
    number = to_number(element.get(name))
    return None if number is None else units.in_um(number, element.get(f"{name}Unit", default))


def _duration(element: Element, name: str) -> float | None:
    number = to_number(element.get(name))
    return None if number is None else units.in_s(number, element.get(f"{name}Unit", "s"))


def _tidy(value: float) -> float:
    return float(f"{value:.12g}")


def planes_promised(root: Element, *, samples: int) -> tuple[int, bool]:
    """Return how many directories of this file the description fills, and whether it fills other files too.

    Parameters
    ----------
    root : Element
    samples : int
        Samples per pixel of the file's pages: a page of RGB holds three of ``SizeC``.
    """
    own = root.get("UUID")
    end, elsewhere = 0, False
    for _, image in scenes_of_file(root):
        pixels = image.find("Pixels")
        if pixels is None:
            continue
        whole = _planes(pixels, samples)
        blocks = pixels.findall("TiffData")
        if not blocks:
            end += whole
        for block in blocks:
            uuid = (block.findtext("UUID") or "").strip()
            if uuid and own and uuid != own:
                elsewhere = True
                continue
            end = max(end, _block_end(block.attrib, whole, end))
    return end, elsewhere


def _block_end(block: Mapping[str, str], whole: int, before: int) -> int:
    start, count = to_number(block.get("IFD")), to_number(block.get("PlaneCount"))
    if isinstance(start, int):
        return start + (count if isinstance(count, int) else 1)
    return before + (count if isinstance(count, int) else whole)


def _planes(pixels: Element, samples: int) -> int:
    sizes = [to_number(pixels.get(f"Size{axis}")) for axis in "ZCT"]
    z, c, t = (number if isinstance(number, int) and number > 0 else 1 for number in sizes)
    channels = pixels.findall("Channel")
    in_channels = sum(_whole(channel.get("SamplesPerPixel") for channel in channels))
    effective = len(channels) if channels and in_channels == c else max(1, c // max(1, samples))
    return z * effective * t


def _whole(texts: Iterable[str | None]) -> Iterable[int]:
    for text in texts:
        number = to_number(text)
        yield number if isinstance(number, int) else 1
