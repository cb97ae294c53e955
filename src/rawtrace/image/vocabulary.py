"""The words of a harvest: every name a reader may emit, its type, unit and meaning.

A name is dotted; ``*`` in a pattern stands for an index from 0. ``pixels``,
``channel``, ``plane`` and ``acquisition`` speak of the first scene; the others
have the same names behind ``scene.N.``, as in ``scene.2.channel.0.name``. Units
stand at the end of a name: ``_um``, ``_nm``, ``_s``, ``_ms``. Times are ISO 8601; without an
offset they are the instrument's local time.

Personal terms (``personal=True``) are harvested only when asked for. They may name
the people, places, computers or patients behind a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Term:
    """One word of the vocabulary.

    Attributes
    ----------
    pattern : str
        Dotted name; ``*`` stands for an index.
    kind : type
        ``str``, ``int``, ``float`` or ``bool``.
    unit : str
        In words; empty for pure numbers and text.
    meaning : str
    personal : bool
        Whether it is harvested only when asked for.
    """

    pattern: str
    kind: type[str] | type[int] | type[float] | type[bool]
    unit: str
    meaning: str
    personal: bool = False

    @property
    def is_time(self) -> bool:
        """Whether the value is a date and time."""
        return self.unit == "ISO 8601"


def _terms(kind: type[str] | type[int] | type[float] | type[bool], table: str, *, personal: bool = False) -> list[Term]:
    rows = (line.split("|") for line in table.strip().splitlines())
    return [Term(name.strip(), kind, unit.strip(), meaning.strip(), personal) for name, unit, meaning in rows]


TERMS: tuple[Term, ...] = (
    *_terms(
        str,
        """
        acquisition.time               | ISO 8601 | when the first plane was recorded
        acquisition.software           | | program that ran the instrument
        acquisition.software_version   | | its version, or the instrument's own software versions
        file.time                      | ISO 8601 | when the file was written or last changed
        file.software                  | | program that wrote the file
        file.standard                  | | version of the format, as the file states it
        instrument.manufacturer        | | maker of the instrument
        instrument.model               | | maker's name of the instrument
        instrument.serial              | | maker's serial number
        instrument.type                | | kind of stand, as in "Inverted"
        instrument.modality            | | DICOM modality code, as in "SM"
        objective.manufacturer         | | maker of the objective in use
        objective.model                | | maker's name of the objective in use
        objective.serial               | | serial number of the objective in use
        objective.immersion            | | immersion medium
        objective.correction           | | optical correction
        detector.*.manufacturer        | | maker of a detector
        detector.*.model               | | maker's name of a detector
        detector.*.serial              | | serial number of a detector
        detector.*.type                | | kind of detector, as in "CMOS"
        light_source.*.manufacturer    | | maker of a light source
        light_source.*.model           | | maker's name of a light source
        light_source.*.serial          | | serial number of a light source
        light_source.*.type            | | kind of light source, as in "Laser"
        device.*.label                 | | name of a device in the configuration of the acquisition program
        device.*.library               | | driver library of a device
        device.*.adapter               | | driver of a device in that library
        device.*.type                  | | kind of device
        device.*.state_label           | | named position of a wheel, turret or switch
        device.*.camera_name           | | name that a camera gives of itself
        device.*.camera_id             | | identifier that a camera gives of itself
        device.*.binning               | | binning, as the driver states it
        device.*.pixel_type            | | pixel type, as the driver states it
        device.*.scan_mode             | | readout mode, as the driver states it
        device.*.readout_rate          | | readout rate, as the driver states it
        device.*.trigger               | | trigger mode, as the driver states it
        lens.manufacturer              | | maker of a photographic lens
        lens.model                     | | maker's name of a photographic lens
        lens.serial                    | | serial number of a photographic lens
        pixels.type                    | | as in "uint16"
        pixels.dimension_order         | | fastest axis first, as in "XYZCT"
        pixels.axes                    | | slowest axis first, as in "TCZYX"
        pixels.colour                  | | colour interpretation, as in "RGB" or "MONOCHROME2"
        pixels.compression             | | codec of the pixels
        channel.*.name                 | | name of the channel
        channel.*.fluorophore          | | label that the channel shows
        channel.*.contrast_method      | | as in "Fluorescence"
        channel.*.illumination         | | as in "Epifluorescence"
        channel.*.acquisition_mode     | | as in "SpinningDiskConfocal"
        channel.*.binning              | | as in "2x2"
        channel.*.colour               | | display colour, RRGGBB
        """,
    ),
    *_terms(
        int,
        """
        scene.count                    | | number of scenes (positions, series) in the file
        pixels.size_x                  | pixels | width
        pixels.size_y                  | pixels | height
        pixels.size_z                  | planes | focal planes
        pixels.size_c                  | channels | channels, samples counted apart
        pixels.size_t                  | time points | time points
        pixels.samples                 | | samples per pixel (3 for RGB)
        pixels.significant_bits        | bits | bits that carry signal
        plane.*.z                      | | index of the focal plane, from 0
        plane.*.c                      | | index of the channel, from 0
        plane.*.t                      | | index of the time point, from 0
        exposure.iso                   | | ISO speed
        device.*.bit_depth             | bits | bit depth, as the driver states it
        """,
    ),
    *_terms(
        float,
        """
        objective.magnification        | | nominal magnification
        objective.calibrated_magnification | | measured magnification
        objective.numerical_aperture   | | numerical aperture
        objective.working_distance_um  | µm | working distance
        objective.refractive_index     | | refractive index of the medium
        light_source.*.power_mw        | mW | power of a light source
        light_source.*.wavelength_nm   | nm | wavelength of a laser
        device.*.gain                  | | gain, as the driver states it
        device.*.offset                | | offset, as the driver states it
        device.*.temperature_c         | °C | temperature of a detector
        device.*.readout_time_ms       | ms | readout time, as the driver states it
        environment.temperature_c      | °C | temperature around the sample
        environment.pressure_mbar      | mbar | air pressure around the sample
        environment.humidity           | fraction | relative humidity, 0 to 1
        environment.co2                | fraction | carbon dioxide, 0 to 1
        pixels.physical_size_x_um      | µm | width of a pixel in the sample
        pixels.physical_size_y_um      | µm | height of a pixel in the sample
        pixels.physical_size_z_um      | µm | distance of focal planes
        pixels.time_increment_s        | s | time between time points
        channel.*.excitation_nm        | nm | excitation wavelength
        channel.*.emission_nm          | nm | emission wavelength
        channel.*.pinhole_um           | µm | diameter of the pinhole
        channel.*.exposure_s           | s | exposure time, where all planes of the channel have the same
        channel.*.detector_gain        | | detector gain
        channel.*.detector_offset      | | detector offset
        channel.*.detector_voltage_v   | V | detector voltage
        channel.*.attenuation          | fraction | attenuation of the light source, 0 to 1
        plane.*.time_s                 | s | time since the start of the acquisition
        plane.*.exposure_s             | s | exposure time
        plane.*.position_x_um          | µm | position of the stage
        plane.*.position_y_um          | µm | position of the stage
        plane.*.position_z_um          | µm | position of the focus drive
        plane.*.position_x             | the stage's own, not stated | position of the stage
        plane.*.position_y             | the stage's own, not stated | position of the stage
        plane.*.position_z             | the focus drive's own, not stated | position of the focus drive
        exposure.time_s                | s | exposure time of the whole picture
        exposure.f_number              | | f-number
        exposure.focal_length_mm       | mm | focal length
        exposure.tube_voltage_kv       | kV | X-ray tube voltage
        exposure.tube_current_ma       | mA | X-ray tube current
        exposure.slice_thickness_um    | µm | slice thickness
        exposure.field_strength_t      | T | magnetic field
        exposure.repetition_time_ms    | ms | MR repetition time
        exposure.echo_time_ms          | ms | MR echo time
        exposure.flip_angle_deg        | degrees | MR flip angle
        """,
    ),
    *_terms(
        str,
        """
        personal.operator              | | who ran the instrument
        personal.author                | | who is named as the author
        personal.copyright             | | copyright line
        personal.email                 | | address of the operator
        personal.institution           | | institution named in the file
        personal.computer              | | name of the computer or station
        personal.description           | | free text about the image
        personal.comment               | | free text of the operator
        personal.scene_name            | | free name of the first scene
        personal.patient_id            | | identifier of the patient
        personal.study_uid             | | identifier that links a patient's images
        personal.camera_owner          | | owner that the camera names
        personal.protocol              | | free name of the protocol
        """,
        personal=True,
    ),
)

_BY_PATTERN = {term.pattern: term for term in TERMS}
_INDEX = re.compile(r"(?<=\.)(?:0|[1-9][0-9]{0,8})(?=\.)")
_SCENE = re.compile(r"^scene\.(?:0|[1-9][0-9]{0,8})\.(?=(?:pixels|channel|plane|acquisition)\.)")
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?$")


@lru_cache(maxsize=4096)
def term(name: str) -> Term | None:
    """Return the vocabulary's entry for a name, or ``None``."""
    return _BY_PATTERN.get(_INDEX.sub("*", _SCENE.sub("", name)))


def is_time(text: str) -> bool:
    """Tell whether text is a date and time of the vocabulary: ISO 8601 with a ``T``."""
    if not _TIME.match(text):
        return False
    try:
        datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return True
