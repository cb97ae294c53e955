"""Name constraints: permitted and excluded names of every kind, on authorities and on the anchor."""

from __future__ import annotations

import runpy
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from rawtrace.trust.path import validate_path

c = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "chains.py")))
URI, DNS, MAIL, DIR, IP = (
    x509.UniformResourceIdentifier,
    x509.DNSName,
    x509.RFC822Name,
    x509.DirectoryName,
    x509.IPAddress,
)
ORG = NameOID.ORGANIZATION_NAME
HOST = URI("instruments.example.org")


def codes(
    name: x509.GeneralName | None,
    *,
    permitted: list[x509.GeneralName] | None = None,
    excluded: list[x509.GeneralName] | None = None,
    subject: x509.Name | None = None,
    where: str = "authority",
    critical: bool = True,
) -> set[str]:
    limits = {"constraints": x509.NameConstraints(permitted, excluded), "constraints_critical": critical}
    root = c.make("Root", ca=True, **(limits if where == "anchor" else {}))
    authority = c.make("Authority", root, ca=True, **(limits if where == "authority" else {}))
    leaf = c.make(subject or c.named("Leaf"), authority, names=[name] if name else [])
    chain = [leaf.certificate, authority.certificate]
    result = validate_path(chain, [c.listing(c.anchor(root))], at=c.NOW)
    return {problem.code for problem in result.problems}


OUTSIDE, EXCLUDED = {"name-not-permitted"}, {"name-excluded"}


@pytest.mark.parametrize("critical", [True, False])
@pytest.mark.parametrize("where", ["authority", "anchor"])
def test_holds_wherever_and_however_it_is_marked_fail(where, critical) -> None:
    good, bad = URI("https://instruments.example.org/1"), URI("https://other.example.org/1")
    options = {"where": where, "critical": critical}
    assert codes(good, permitted=[HOST], **options) == set()
    assert codes(bad, permitted=[HOST], **options) == OUTSIDE
    assert codes(good, excluded=[HOST], **options) == EXCLUDED
    assert codes(bad, excluded=[HOST], **options) == set()


def test_kinds_that_are_not_constrained_are_free() -> None:
    assert codes(DNS("anything.example"), permitted=[HOST]) == set()
    assert codes(None, permitted=[HOST]) == set()


@pytest.mark.parametrize(
    "uri",
    [
        "https://instruments.example.org.evil.example/1",
        "https://evilinstruments.example.org/1",
        "https://below.instruments.example.org/1",
        "https://instruments.example.org@evil.example/1",
        "https://evil.example\\@instruments.example.org/1",
        "https://evil.example/instruments.example.org",
        "https://evil.example#instruments.example.org",
        "https://192.0.2.1/",
        "https://[2001:db8::1]/",
        "https://[broken/",
        "urn:uuid:instruments.example.org",
        "instruments.example.org",
        "https://",
    ],
)
def test_uri_outside_fail(uri) -> None:
    assert codes(URI(uri), permitted=[HOST]) == OUTSIDE


@pytest.mark.parametrize(
    "uri",
    ["https://INSTRUMENTS.example.org/1", "https://instruments.example.org:8443/", "hdl://instruments.example.org./x"],
)
def test_uri_inside(uri) -> None:
    assert codes(URI(uri), permitted=[HOST]) == set()


def test_uri_leading_dot_means_below() -> None:
    limit = [URI(".example.org")]
    assert codes(URI("https://a.b.example.org/"), permitted=limit) == set()
    assert codes(URI("https://example.org/"), permitted=limit) == OUTSIDE


def test_uri_without_host_is_excluded_too_fail() -> None:
    assert codes(URI("urn:x:y"), excluded=[HOST]) == EXCLUDED
    assert codes(URI("https://192.0.2.1/"), excluded=[HOST]) == EXCLUDED
    assert codes(URI("https://192.0.2.1/"), permitted=[URI("192.0.2.1")]) == OUTSIDE


@pytest.mark.parametrize(
    ("host", "limit", "inside", "hit"),
    [
        ("lab.example", "lab.example", True, True),
        ("A.LAB.example", "lab.EXAMPLE", True, True),
        ("evillab.example", "lab.example", False, False),
        ("*.lab.example", "lab.example", True, True),
        ("*.example", "lab.example", False, True),
        ("lab.example", ".lab.example", False, True),
        ("a.lab.example", ".lab.example", True, True),
        ("evil.example\0.lab.example", "lab.example", False, True),
        ("anything.example", "", True, True),
    ],
)
def test_dns_fail(host, limit, inside, hit) -> None:
    assert codes(DNS(host), permitted=[DNS(limit)]) == (set() if inside else OUTSIDE)
    assert codes(DNS(host), excluded=[DNS(limit)]) == (EXCLUDED if hit else set())


@pytest.mark.parametrize(
    ("mail", "limit", "inside", "hit"),
    [
        ("user@lab.example", "lab.example", True, True),
        ("user@LAB.example", "lab.example", True, True),
        ("user@a.lab.example", "lab.example", False, False),
        ("user@a.lab.example", ".lab.example", True, True),
        ("user@lab.example", ".lab.example", False, False),
        ("user@lab.example", "user@lab.example", True, True),
        ("USER@lab.example", "user@lab.example", False, True),
        ("other@lab.example", "user@lab.example", False, False),
        ("lab.example", "lab.example", False, True),
    ],
)
def test_email_fail(mail, limit, inside, hit) -> None:
    assert codes(MAIL(mail), permitted=[MAIL(limit)]) == (set() if inside else OUTSIDE)
    assert codes(MAIL(mail), excluded=[MAIL(limit)]) == (EXCLUDED if hit else set())


def test_email_in_subject_fail() -> None:
    subject = c.named("Leaf", (NameOID.EMAIL_ADDRESS, "user@evil.example"))
    assert codes(None, subject=subject, permitted=[MAIL("lab.example")]) == OUTSIDE
    twice = c.named("Leaf", (NameOID.EMAIL_ADDRESS, "a@evil.example@lab.example"))
    assert codes(None, subject=twice, permitted=[MAIL("lab.example")]) == OUTSIDE
    assert codes(MAIL("user@lab.example"), subject=subject, permitted=[MAIL("lab.example")]) == OUTSIDE


@pytest.mark.parametrize(
    ("organisation", "inside"),
    [
        ("Example University", True),
        ("example   UNIVERSITY ", True),
        ("Example University Press", False),
        ("Other University", False),
    ],
)
def test_directory_fail(organisation, inside) -> None:
    limit = DIR(x509.Name([x509.NameAttribute(ORG, "Example University")]))
    subject = c.named("Leaf", (ORG, organisation))
    assert codes(None, subject=subject, permitted=[limit]) == (set() if inside else OUTSIDE)
    assert codes(None, subject=subject, excluded=[limit]) == (EXCLUDED if inside else set())


def test_directory_name_among_alternative_names_fail() -> None:
    limit = DIR(x509.Name([x509.NameAttribute(ORG, "Example University")]))
    subject = c.named("Leaf", (ORG, "Example University"))
    assert codes(DIR(c.named("Else")), subject=subject, permitted=[limit]) == OUTSIDE


def test_directory_is_a_prefix_in_order_fail() -> None:
    limit = DIR(c.named("Leaf", (ORG, "Example University")))
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "Leaf"),
            x509.NameAttribute(ORG, "Example University"),
        ]
    )
    assert codes(None, subject=subject, permitted=[limit]) == OUTSIDE


def test_addresses_fail() -> None:
    limit = [IP(ip_network("192.0.2.0/24"))]
    assert codes(IP(ip_address("192.0.2.9")), permitted=limit) == set()
    assert codes(IP(ip_address("198.51.100.1")), permitted=limit) == OUTSIDE
    assert codes(IP(ip_address("2001:db8::1")), permitted=limit) == OUTSIDE
    assert codes(IP(ip_address("192.0.2.9")), excluded=limit) == EXCLUDED


def test_kind_that_cannot_be_compared_fail() -> None:
    name = x509.RegisteredID(x509.ObjectIdentifier("2.25.1234"))
    assert codes(name, excluded=[name]) == {"name-constraint-unsupported"}
    assert codes(None, excluded=[name]) == set()


def test_every_authority_counts_and_each_permits_fail() -> None:
    both = x509.NameConstraints([URI(".example.org")], None)
    root = c.make("Root", ca=True, constraints=both)
    authority = c.make("Authority", root, ca=True, constraints=x509.NameConstraints([URI(".lab.example.org")], None))
    lists = [c.listing(c.anchor(root))]
    for uri, expected in (
        ("https://a.lab.example.org/", []),
        ("https://a.example.org/", ["name-not-permitted"]),
        ("https://a.example/", ["name-not-permitted", "name-not-permitted"]),
    ):
        leaf = c.make("Leaf", authority, names=[URI(uri)])
        result = validate_path([leaf.certificate, authority.certificate], lists, at=c.NOW)
        assert [problem.code for problem in result.problems] == expected


def test_names_of_intermediate_count_unless_self_issued_fail() -> None:
    limit = x509.NameConstraints(None, [DIR(c.named("Authority"))])
    root = c.make("Root", ca=True, constraints=limit)
    lists = [c.listing(c.anchor(root))]
    authority = c.make("Authority", root, ca=True)
    result = validate_path([c.make("Leaf", authority).certificate, authority.certificate], lists, at=c.NOW)
    assert {problem.code for problem in result.problems} == EXCLUDED
    limit = x509.NameConstraints(None, [DIR(c.named("Root"))])
    root = c.make("Root", ca=True, constraints=limit)
    renewed = c.make("Root", root, ca=True)
    lists = [c.listing(c.anchor(root))]
    result = validate_path([c.make("Leaf", renewed).certificate, renewed.certificate], lists, at=c.NOW)
    assert result.trusted


def test_leaf_is_never_free_as_self_issued_fail() -> None:
    root = c.make("Root", ca=True, constraints=x509.NameConstraints([HOST], None))
    leaf = c.make("Root", root, names=[URI("https://other.example/1")])
    result = validate_path([leaf.certificate], [c.listing(c.anchor(root))], at=c.NOW)
    assert {problem.code for problem in result.problems} == OUTSIDE


def test_too_many_to_compare_fail() -> None:
    hosts = [DNS(f"h{number}.example") for number in range(400)]
    root = c.make("Root", ca=True, constraints=x509.NameConstraints(None, hosts))
    leaf = c.make("Leaf", root, names=[DNS(f"n{number}.example") for number in range(400)])
    result = validate_path([leaf.certificate], [c.listing(c.anchor(root))], at=c.NOW)
    assert {problem.code for problem in result.problems} == {"name-constraints-too-many"}
