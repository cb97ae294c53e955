"""Revoking more than one certificate, log positions, and the log policy that an authority names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from rawtrace.errors import CertificateError, MalformedError, ReceiptError
from rawtrace.ledger.note import VerifierKey
from rawtrace.trust import authority, authorityfolder, register, revocation
from rawtrace.trust.identity import Identity
from rawtrace.trust.scope import LogPosition, Scope, ScopeKind
from rawtrace.trust.trustlist import read_list

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PRODUCT = Scope(kind=ScopeKind.PRODUCT, manufacturer="Example Optics", model="Widefield 1")
FEATURE = Scope(
    kind=ScopeKind.FEATURE, manufacturer="example  optics", model="WIDEFIELD 1", feature="multiple-exposure"
)
KEY = VerifierKey("log.example.org", 1, b"\7" * 32).text
POLICY = f"log {KEY}\nquorum none\n"


@pytest.fixture
def folder(tmp_path: Path, new_identity: Callable[..., Identity]) -> Path:
    """An authority that certified one Widefield 1."""
    made = tmp_path / "authority"
    authority.create_authority(made, name="Example Authority")
    new_identity(authority=made, folder=tmp_path / "scope")
    return made


def published(folder: Path) -> Any:
    return read_list((folder / "trust-list.jws").read_bytes(), source="test")


def revoke(folder: Path, **options: Any) -> Any:
    return revocation.revoke(folder, **({"reason": "privilegeWithdrawn"} | options))


@pytest.mark.parametrize(
    "scope",
    [
        Scope(kind=ScopeKind.PRODUCT, manufacturer="Example Optics", model="Widefield 2"),
        Scope(kind=ScopeKind.PRODUCT, manufacturer="Example", model="Widefield 1"),
        Scope(kind=ScopeKind.FEATURE, manufacturer="Example Optics", model="Widefield 1", feature="Two Words"),
        Scope(kind=ScopeKind.FIRMWARE, manufacturer="Example Optics", model="Widefield 1"),
    ],
)
def test_an_authority_speaks_of_what_it_certified_only_fail(folder: Path, scope: Scope) -> None:
    with pytest.raises(CertificateError):
        revoke(folder, scope=scope)
    assert register.statuses(folder) == ()
    assert published(folder).statuses == ()


def test_a_revocation_names_one_thing_fail(folder: Path) -> None:
    serial = register.issued(folder)[0].serial
    for options in ({}, {"scope": PRODUCT, "serial": serial}, {"scope": PRODUCT, "pid": "urn:uuid:1"}):
        with pytest.raises(CertificateError, match="either a PID, a serial number or a scope"):
            revoke(folder, **options)


def test_a_place_in_a_log_goes_with_doubt_only_fail(folder: Path) -> None:
    place = LogPosition(origin="log.example.org", index=5)
    with pytest.raises(CertificateError, match="a start of the doubt"):
        revoke(folder, scope=PRODUCT, reason="superseded", doubt_from=place)


def test_a_damaged_scope_is_told_fail(folder: Path) -> None:
    revoke(folder, scope=FEATURE)
    path = folder / "statuses.jsonl"
    path.write_text(path.read_text().replace('"kind":"feature"', '"kind":"colour"'))
    with pytest.raises(MalformedError, match=r"statuses\.jsonl"):
        register.statuses(folder)


def test_scopes_are_published(folder: Path) -> None:
    start = NOW - timedelta(days=20)
    place = LogPosition(origin="log.example.org", index=51_200)
    (made,) = revoke(folder, scope=FEATURE, compromised_from=start, doubt_from=place, note="a note")
    (other,) = revoke(folder, scope=PRODUCT)
    assert set(register.statuses(folder)) == set(published(folder).statuses) == {made, other}
    assert (made.compromised_from, made.doubt_from, made.serial) == (start, place, 0)
    found = published(folder).scoped_statuses(
        made.authority_key_id, manufacturer="EXAMPLE optics", model=" widefield 1 "
    )
    assert set(found) == {made, other}
    assert published(folder).scoped_statuses(made.authority_key_id, manufacturer="Other", model="Widefield 1") == ()
    assert published(folder).scoped_statuses(b"another", manufacturer="", model="") == ()


def test_nothing_is_taken_back_fail(folder: Path) -> None:
    place = LogPosition(origin="log.example.org", index=50)
    revoke(folder, scope=FEATURE, compromised_from=NOW, doubt_from=place)
    later = LogPosition(origin="log.example.org", index=51)
    elsewhere = LogPosition(origin="other.example.org", index=1)
    for options in (
        {},
        {"compromised_from": NOW + timedelta(hours=1)},
        {"doubt_from": later},
        {"doubt_from": place},
        {"doubt_from": elsewhere},
        {"compromised_from": NOW - timedelta(days=1), "doubt_from": later},
    ):
        with pytest.raises(CertificateError, match="revoked already"):
            revoke(folder, scope=FEATURE, **options)


def test_an_earlier_start_is_added_and_the_other_kept(folder: Path) -> None:
    place = LogPosition(origin="log.example.org", index=50)
    (first,) = revoke(folder, scope=FEATURE, compromised_from=NOW, now=NOW)
    (second,) = revoke(folder, scope=FEATURE, doubt_from=place, now=NOW + timedelta(days=1))
    assert (second.compromised_from, second.doubt_from, second.revoked_at) == (NOW, place, first.revoked_at)
    earlier = NOW - timedelta(days=1)
    (third,) = revoke(folder, scope=FEATURE, compromised_from=earlier)
    assert (third.compromised_from, third.doubt_from) == (earlier, place)
    assert register.statuses(folder) == (third,)


def test_where_a_log_holds_a_status(folder: Path) -> None:
    (made,) = revoke(folder, scope=FEATURE)
    assert "logged" not in revocation.status_content(made)
    place = LogPosition(origin="log.example.org", index=7)
    (noted,) = revocation.note_logged(folder, {FEATURE: place, PRODUCT: place})
    assert noted.logged == place
    assert published(folder).statuses == (noted,)
    (again,) = revocation.note_logged(folder, {FEATURE: LogPosition(origin="log.example.org", index=9)})
    assert again.logged == place
    assert revocation.status_content(noted) == revocation.status_content(made)


@pytest.mark.parametrize("text", ["", "quorum none\n", f"log {KEY}\n", POLICY + "surprise\n", "log x\nquorum none\n"])
def test_a_policy_that_cannot_be_read_is_refused_fail(folder: Path, text: str) -> None:
    before = published(folder)
    with pytest.raises(ReceiptError):
        authorityfolder.set_log_policy(folder, text)
    assert published(folder) == before


def test_the_list_carries_the_policy(folder: Path) -> None:
    authorityfolder.set_log_policy(folder, POLICY)
    found = published(folder)
    assert [log.key.text for log in found.policies[0].logs] == [KEY]
    assert found.log_keys("log.example.org") == {KEY}
    assert found.log_keys("log.example.com") == frozenset()
    assert found.facts()["logs"] == ["log.example.org"]
    revoke(folder, scope=FEATURE)
    assert published(folder).policies == found.policies


@pytest.mark.parametrize(
    "url", ["store.example.org", "ftp://store.example.org", "https://", "https://a b", "https://x/?q"]
)
def test_an_address_that_is_none_is_refused_fail(folder: Path, url: str) -> None:
    with pytest.raises(CertificateError, match="not the address of a trust store"):
        authorityfolder.set_url(folder, url)
    assert authorityfolder.open_authority(folder).url == ""


def test_only_new_certificates_point_to_the_store(
    folder: Path, tmp_path: Path, new_identity: Callable[..., Identity]
) -> None:
    before = register.issued(folder)[0].certificate_pem
    authorityfolder.set_url(folder, "https://store.example.org/")
    leaf = new_identity(authority=folder, folder=tmp_path / "second").chain[0]
    access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert [one.access_location.value for one in access] == ["https://store.example.org/ocsp"]
    points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert [one.full_name[0].value for one in points if one.full_name] == ["https://store.example.org/crl"]
    old = x509.load_pem_x509_certificate(before.encode())
    with pytest.raises(x509.ExtensionNotFound):
        old.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
