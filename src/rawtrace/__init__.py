"""rawtrace: seals scientific images at the instrument and lets anybody check them.

The public names are loaded when they are first used::

    import rawtrace

    report = rawtrace.verify(path, trust=rawtrace.load_trust([authority_folder]))
    print(report.verdict, report.summary)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rawtrace.errors import Error
    from rawtrace.image.metadata import harvest
    from rawtrace.match.comparison.compare import Comparison
    from rawtrace.match.comparison.files import compare_files as compare
    from rawtrace.report import Finding, Report, Verdict
    from rawtrace.sealing.seal import Seal, seal
    from rawtrace.trust.signer import Identity as Signer
    from rawtrace.trust.signer import load_identity as load_signer
    from rawtrace.trust.truststore import load_trust
    from rawtrace.verification.verify import verify

__all__ = [
    "Comparison",
    "Error",
    "Finding",
    "Report",
    "Seal",
    "Signer",
    "Verdict",
    "compare",
    "harvest",
    "load_signer",
    "load_trust",
    "seal",
    "verify",
]

_PLACES = {
    "Comparison": ("rawtrace.match.comparison.compare", "Comparison"),
    "Error": ("rawtrace.errors", "Error"),
    "Finding": ("rawtrace.report", "Finding"),
    "Report": ("rawtrace.report", "Report"),
    "Seal": ("rawtrace.sealing.seal", "Seal"),
    "Signer": ("rawtrace.trust.signer", "Identity"),
    "Verdict": ("rawtrace.report", "Verdict"),
    "compare": ("rawtrace.match.comparison.files", "compare_files"),
    "harvest": ("rawtrace.image.metadata", "harvest"),
    "load_signer": ("rawtrace.trust.signer", "load_identity"),
    "load_trust": ("rawtrace.trust.truststore", "load_trust"),
    "seal": ("rawtrace.sealing.seal", "seal"),
    "verify": ("rawtrace.verification.verify", "verify"),
}


def __getattr__(name: str) -> Any:
    """Load a public name from its room; start-up stays fast because nothing else is loaded."""
    if name not in _PLACES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    module, attribute = _PLACES[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
