"""Units of length and time as image files spell them, and times as cameras spell them."""

from __future__ import annotations

import re

_LENGTH_UM = {
    "m": 1e6, "meter": 1e6, "metre": 1e6,
    "cm": 1e4, "centimeter": 1e4, "centimetre": 1e4,
    "mm": 1e3, "millimeter": 1e3, "millimetre": 1e3,
    "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0,
    "nm": 1e-3, "nanometer": 1e-3, "nanometre": 1e-3,
    "pm": 1e-6, "picometer": 1e-6, "picometre": 1e-6,
    "å": 1e-4, "angstrom": 1e-4,
    "inch": 25_400.0, "in": 25_400.0,
}  # fmt: skip
_TIME_S = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0,
    "ms": 1e-3, "millisecond": 1e-3,
    "µs": 1e-6, "μs": 1e-6, "us": 1e-6, "microsecond": 1e-6,
    "ns": 1e-9, "nanosecond": 1e-9,
    "min": 60.0, "minute": 60.0,
    "h": 3600.0, "hour": 3600.0,
    "d": 86_400.0, "day": 86_400.0,
}  # fmt: skip


def in_um(value: float, unit: str) -> float | None:
    """Return a length in µm; ``None`` for a unit that is not a length (``pixel``, reference frame)."""
    factor = _LENGTH_UM.get(unit.strip().replace("\\u00B5", "µ").lower())
    return None if factor is None else _scaled(value, factor)


def in_s(value: float, unit: str) -> float | None:
    """Return a duration in seconds; ``None`` for a unit that is not a time."""
    factor = _TIME_S.get(unit.strip().lower())
    return None if factor is None else _scaled(value, factor)


def _scaled(value: float, factor: float) -> float:
    # Multiplying by 1e-3 and 1e-9 leaves tails such as 0.30000000000000004.
    return float(f"{value * factor:.15g}") if factor != 1.0 else float(value)


_EXIF_TIME = re.compile(r"^(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d+))?$")


def exif_time(text: str, *, fraction: str = "", offset: str = "") -> str:
    """Return ISO 8601 for the ``YYYY:MM:DD hh:mm:ss`` of EXIF and TIFF; empty if it is not that."""
    match = _EXIF_TIME.match(text.strip("\x00 "))
    if match is None:
        return ""
    year, month, day, hour, minute, second, inner = match.groups()
    fraction = (inner or fraction).strip()
    offset = offset.strip()
    return (
        f"{year}-{month}-{day}T{hour}:{minute}:{second}"
        + (f".{fraction[:9]}" if fraction.isascii() and fraction.isdigit() else "")
        + (offset if re.fullmatch(r"Z|[+-]\d\d:\d\d", offset) else "")
    )


def dicom_time(date: str, time: str, *, offset: str = "") -> str:
    """Return ISO 8601 for DICOM's ``YYYYMMDD`` and ``HHMMSS.FFFFFF``; empty if they are not that."""
    day = re.fullmatch(r"(\d{4})\.?(\d\d)\.?(\d\d)", date.strip())
    clock = re.fullmatch(r"(\d\d):?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?", time.strip())
    if day is None or clock is None:
        return ""
    hour, minute, second, fraction = clock.groups()
    zone = re.fullmatch(r"([+-]\d\d)(\d\d)", offset.strip())
    return (
        f"{day[1]}-{day[2]}-{day[3]}T{hour}:{minute}:{second or '00'}"
        + (f".{fraction}" if fraction else "")
        + (f"{zone[1]}:{zone[2]}" if zone else "")
    )
