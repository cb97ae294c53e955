"""The only module that imports python-tuf and securesystemslib; import it inside functions, for it is slow to load."""

from __future__ import annotations

# Both libraries hand these names out in their documentation, but do not mark them as exported.
from securesystemslib.exceptions import Error as KeyLibraryError
from securesystemslib.signer import Key, SecretsHandler, Signature, Signer, SSlibKey  # type: ignore[attr-defined]
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import (  # type: ignore[attr-defined]
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig  # type: ignore[attr-defined]

__all__ = [
    "BadVersionNumberError",
    "DownloadError",
    "DownloadHTTPError",
    "DownloadLengthMismatchError",
    "ExpiredMetadataError",
    "FetcherInterface",
    "Key",
    "KeyLibraryError",
    "LengthOrHashMismatchError",
    "MetaFile",
    "Metadata",
    "RepositoryError",
    "Role",
    "Root",
    "SSlibKey",
    "SecretsHandler",
    "Signature",
    "Signer",
    "Snapshot",
    "TargetFile",
    "Targets",
    "Timestamp",
    "UnsignedMetadataError",
    "Updater",
    "UpdaterConfig",
]
