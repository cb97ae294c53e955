"""``--firmware`` and ``--feature``: with what an instrument recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rawtrace.errors import UsageError

if TYPE_CHECKING:
    from rawtrace.sealing.statements import Device

firmware_option = click.option(
    "--firmware", metavar="VERSION", default="", help="Of the instrument, as it recorded the data."
)
feature_option = click.option(
    "--feature",
    "features",
    metavar="NAME",
    multiple=True,
    help="A mode of the instrument that was in use; may be given several times. none: say that none was.",
)


def device_of(firmware: str, features: tuple[str, ...]) -> Device | None:
    """Return what the options say; ``None`` where they say nothing.

    Raises
    ------
    UsageError
    """
    from rawtrace.sealing.statements import Device

    if not firmware and not features:
        return None
    if "none" in features and len(features) > 1:
        msg = "--feature none says that no feature was in use, but others are named"
        raise UsageError(msg)
    named = None if not features else () if features == ("none",) else features
    return Device(firmware=firmware, features=named)
