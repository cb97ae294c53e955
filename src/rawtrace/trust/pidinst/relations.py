"""How PIDINST's relations and kinds of identifiers are said in DataCite 4.5.

DataCite has no word for an instrument that was used in something or is attached to
something; the nearest ones that no other relation needs are taken, so that the way
back is clear.
"""

from __future__ import annotations

#: PIDINST's relation to DataCite's.
TO_DATACITE = {
    "IsDescribedBy": "IsDescribedBy",
    "IsNewVersionOf": "IsNewVersionOf",
    "IsPreviousVersionOf": "IsPreviousVersionOf",
    "HasComponent": "HasPart",
    "IsComponentOf": "IsPartOf",
    "References": "References",
    "HasMetadata": "HasMetadata",
    "WasUsedIn": "IsReferencedBy",
    "IsIdenticalTo": "IsIdenticalTo",
    "IsAttachedTo": "IsSupplementTo",
}
#: And back, with further words of DataCite that say the same.
FROM_DATACITE = {theirs: ours for ours, theirs in TO_DATACITE.items()} | {
    "Collects": "WasUsedIn",
    "IsCitedBy": "WasUsedIn",
    "IsDocumentedBy": "IsDescribedBy",
    "Cites": "References",
}
#: Kinds of related identifiers that both know by the same name.
SHARED_TYPES = frozenset({
    "ARK", "arXiv", "bibcode", "DOI", "EAN13", "EISSN", "Handle", "IGSN", "ISBN", "ISSN", "ISTC", "LISSN", "PMID",
    "PURL", "UPC", "URL", "URN", "w3id",
})  # fmt: skip
