import pytest

from rawtrace.errors import IdentityRecordError
from rawtrace.trust import identifiers


@pytest.mark.parametrize(
    "text",
    [
        "https://ror.org/0exampe45",  # last digit off by one
        "https://ror.org/0exapme44",  # two letters changed places
        "https://ror.org/0exampl44",  # l is not in the alphabet
        "1exampe44",
        "0exampe4",
        "0exampe444",
        "https://ror.example/0exampe44",
        "https://ror.org/0exampe44/..",
        "0exampe\uff14\uff14",  # digits, but not ASCII ones
        "",
        "x" * 100_000,
    ],
)
def test_a_wrong_ror_is_refused(text: str) -> None:
    with pytest.raises(IdentityRecordError) as caught:
        identifiers.ror(text)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["0exampe44", "ror.org/0exampe44", "https://ror.org/0exampe44", " 0EXAMPE44 "])
def test_a_ror_comes_out_as_its_address(text: str) -> None:
    assert identifiers.ror(text) == "https://ror.org/0exampe44"


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://hdl.handle.net/20.500.12345/abc",
        "https://hdl.handle.net/20.500.12345",
        "https://hdl.handle.net/abc/def",
        "https://doi.org/11.1234/abc",
        "https://doi.org/10.1234/",
        "https://someone@hdl.handle.net/20.500.12345/abc",
        "https://hdl.handle.net:443/20.500.12345/abc",
        "https://hdl.handle.net/20.500.12345/abc?x=1",
        "https://hdl.handle.net/20.500.12345/abc#x",
        "https://hdl.handle.net/20.500.12345/a b",
        "https://hdl.handle.net/20.500.12345/a\nb",
        "https://hdl.handle.net/20.500.12345/ä",
        "https://hdl.handle.net/20.500.12345/" + "a" * 300,
        "https://127.0.0.1/instrument",
        "https://localhost/instrument",
        "https://EXAMPLE.org/instrument",
        "urn:uuid:not-a-uuid",
        "urn:uuid:{35721420-bff0-4aa6-ac5e-e20247ecccc4}",
        "urn:uuid:35721420-BFF0-4AA6-AC5E-E20247ECCCC4",
        "urn:uuid:urn:uuid:35721420-bff0-4aa6-ac5e-e20247ecccc4",
        "",
    ],
)
def test_a_wrong_pid_is_refused(text: str) -> None:
    with pytest.raises(IdentityRecordError, match="not a PID"):
        identifiers.pid(text)


@pytest.mark.parametrize(
    ("text", "uri", "kind"),
    [
        ("hdl:20.500.12345/abc", "https://hdl.handle.net/20.500.12345/abc", "Handle"),
        ("https://hdl.handle.net/21.T11148/8eb858", "https://hdl.handle.net/21.T11148/8eb858", "Handle"),
        ("doi:10.12345/abc", "https://doi.org/10.12345/abc", "DOI"),
        ("https://instruments.example.org/i/7", "https://instruments.example.org/i/7", "URL"),
    ],
)
def test_a_pid_comes_out_as_a_uri_with_its_kind(text: str, uri: str, kind: str) -> None:
    assert identifiers.pid(text) == (uri, kind)


def test_minted_pids_differ_and_are_well_formed() -> None:
    first, second = identifiers.new_pid(), identifiers.new_pid()
    assert first != second
    assert identifiers.pid(first) == (first, "URN")


@pytest.mark.parametrize(
    ("host", "name_space", "inside"),
    [
        ("a.example.org", "a.example.org", True),
        ("b.a.example.org", "a.example.org", False),
        ("b.a.example.org", ".a.example.org", True),
        ("a.example.org", ".a.example.org", False),
        ("evila.example.org", ".a.example.org", False),
        ("", "a.example.org", False),
    ],
)
def test_name_spaces_are_those_of_rfc_5280(host: str, name_space: str, inside: bool) -> None:
    assert identifiers.host_is_in(host, name_space) is inside
