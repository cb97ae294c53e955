"""Values, keys and sites: what CNRI's library said about the same bytes, and what nobody should write."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import handleservers
from rawtrace.errors import Error, MalformedError, ResolutionError
from rawtrace.trust.handles import digest, names, site, values, wire
from rawtrace.trust.handles.names import Handle, handle_of, read_handle
from rawtrace.trust.handles.values import HandleValue, Reference

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)

#: Made by CNRI's library (9.3.1): a site in its binary form, and in JSON.
SITE_HEX = (
    "0001020b0003c0010000000201020000000100000006646f6d61696e00000009612e6578616d706c6500000001000000010000000000000000"
    "000000007f0000010000006d0000000b5253415f5055425f4b45590000000000030100010000004d00c5ff3fbf7eeef0533b7af0a7c5b721de"
    "1da9c9c5ff3fbf7eeef0533b7af0a7c5b721de1da9c9c5ff3fbf7eeef0533b7af0a7c5b721de1da9c9c5ff3fbf7eeef0533b7af0a7c5b721de"
    "1da9c900000000000000040203000020fb030200001f40010100000a51010000000a51"
)
SITE_JSON = (
    '{"index":1,"type":"HS_SITE","data":{"format":"site","value":{"version":1,"protocolVersion":"2.11","serialNumber":3,'
    '"primarySite":true,"multiPrimary":true,"hashOption":1,"hashFilter":"\\u0001\\u0002","attributes":[{"name":"domain",'
    '"value":"a.example"}],"servers":[{"serverId":1,"address":"127.0.0.1","publicKey":{"format":"key","value":{"kty":'
    '"RSA","n":"xf8_v37u8FM7evCnxbch3h2pycX_P79-7vBTO3rwp8W3Id4dqcnF_z-_fu7wUzt68KfFtyHeHanJxf8_v37u8FM7evCnxbch3h2pyQ",'
    '"e":"AQAB"}},"interfaces":[{"query":true,"admin":false,"protocol":"HTTPS","port":8443},{"query":true,"admin":true,'
    '"protocol":"HTTP","port":8000},{"query":false,"admin":true,"protocol":"TCP","port":2641},{"query":false,"admin":true,'
    '"protocol":"UDP","port":2641}]}]}},"ttl":86400}'
)
OTHERS = [
    '{"index":100,"type":"HS_ADMIN","data":{"format":"admin","value":{"handle":"0.NA/x","index":300,'
    '"permissions":"011111111111"}},"ttl":86400,"timestamp":"2023-11-14T22:13:20Z"}',
    '{"index":200,"type":"HS_VLIST","data":{"format":"vlist","value":[{"handle":"a/b","index":1}]},'
    '"permissions":"1100","ttl":"2027-01-15T08:00:00Z","references":[{"handle":"a/é","index":2}]}',
    '{"index":5,"type":"X","data":{"format":"base64","value":"w6nigKg8PiYnIlwvf/CfmIA="},"ttl":86400}',
    '{"index":5,"type":"X","data":{"format":"string","value":"\\u2028\\u2029\\t\\n\\f\\r\\u000b"},"ttl":86400}',
    '{"index":6,"type":"X","data":{"format":"string","value":""},"ttl":86400}',
    '{"index":6,"type":"HS_ADMIN","data":{"format":"base64","value":"AQ=="},"ttl":86400}',
    '{"index":1,"type":"HS_PUBKEY","data":{"format":"key","value":{"kty":"DSA","y":"AQID","p":"BAUG","q":"BwgJ",'
    '"g":"gAsM"}},"ttl":86400}',
]


# --- the live record of 0.TYPE/HS_ADMIN, as its registry signed it


def test_the_digest_of_a_live_record() -> None:
    data = bytes.fromhex("0fff00000006") + b"200/00" + bytes.fromhex("0000012c")
    made = digest.digest_of(HandleValue(index=1, type="HS_ADMIN", data=data))
    assert (made[:8], made[-4:]) == ("YbmdDFxM", "/OM=")


def test_a_digest_that_their_library_made() -> None:
    listed = values.encode_references([Reference("a/b", 1)])
    value = HandleValue(
        index=200,
        type="HS_VLIST",
        data=listed,
        ttl=1_800_000_000,
        absolute=True,
        permissions=0b1100,
        references=(Reference("a/é", 2),),
    )
    assert digest.digest_of(value) == "6cYtysR5Ie2AmWCY9TiXlGUMdJqa74TmrRr9CvXxlxM="
    again = HandleValue(**{name: getattr(value, name) for name in HandleValue.__slots__} | {"index": 9, "timestamp": 7})
    assert digest.digest_of(again) == digest.digest_of(value)


# --- hostile input first


@pytest.mark.parametrize("cut", [0, 1, 5, 20, 60, len(SITE_HEX) // 2 - 1])
def test_a_site_that_ends_early_fail(cut: int) -> None:
    with pytest.raises(MalformedError):
        site.decode(bytes.fromhex(SITE_HEX)[:cut])


@pytest.mark.parametrize(("at", "byte"), [(6, 0x20), (7, 3), (8, 0xFF), (14, 0xFF), (-6, 9), (-5, 9), (-4, 0xFF)])
def test_a_site_with_an_impossible_part_fail(at: int, byte: int) -> None:
    data = bytearray.fromhex(SITE_HEX)
    data[at] = byte
    with pytest.raises(MalformedError):
        site.decode(bytes(data))


def test_a_site_that_goes_on_fail() -> None:
    with pytest.raises(MalformedError, match="goes on"):
        site.decode(bytes.fromhex(SITE_HEX) + b"\0")


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_be_refused(data: bytes) -> None:
    for kind in ("HS_SITE", "HS_ADMIN", "HS_VLIST", "HS_PUBKEY", "URL"):
        value = HandleValue(index=1, type=kind, data=data)
        written = values.dumps(values.value_to_json(value))
        assert values.value_from_json(json.loads(written)) == value


@given(st.binary(max_size=200))
def test_no_answer_does_anything_but_be_refused(data: bytes) -> None:
    with pytest.raises(Error):
        values.read_answer(data, what="it")


_FORMATS = ["string", "hex", "base64", "admin", "site", "key", "vlist"]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "index": st.integers(-1, 9) | _JSON,
            "type": st.sampled_from(["HS_SITE", "HS_ADMIN", "X"]) | _JSON,
            "data": st.fixed_dictionaries(
                {
                    "format": st.sampled_from(["string", "hex", "base64", "admin", "site", "key", "vlist"]),
                    "value": _JSON,
                }
            )
            | _JSON,
            "ttl": st.integers() | _JSON,
            "timestamp": _JSON,
            "permissions": st.sampled_from(["1110", "0000"]) | _JSON,
            "references": _JSON,
        },
    )
)
def test_odd_values_are_refused_in_words_or_read(given_value: dict[str, Any]) -> None:
    try:
        value = values.value_from_json(given_value)
    except MalformedError:
        return
    assert values.value_from_json(json.loads(values.dumps(values.value_to_json(value)))) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "x",
        "x/",
        "/x",
        " 20.5/x",
        "20.5 /x",
        "20..5/x",
        ".20/x",
        "20./x",
        "20.5/..",
        "20.5/a/../b",
        "20.5/./b",
        "20.5/a\\..\\b",
        "20.5/x\n",
        "20.5/\x00",
        "20.5/a\u2028b",
        "20.5/\ud800",
        "20.5/" + "x" * 2000,
        "\uff12\uff10.5/x",
        "20.5é/x",
    ],
)
def test_what_is_no_handle_fail(text: str) -> None:
    with pytest.raises(MalformedError):
        read_handle(text)


@pytest.mark.parametrize(
    "pid",
    [
        "https://example.org/20.5/x",
        "http://hdl.handle.net/20.5/x",
        "https://hdl.handle.net.evil.example/20.5/x",
        "https://hdl.handle.net/20.5/%2e%2e/x",
        "https://hdl.handle.net/20.5/%ff",
        "https://hdl.handle.net/20.5%2F",
        "https://hdl.handle.net/20.5/%0d%0a",
        "urn:uuid:6f1c9c52-6b0a-4c2e-9d3b-1e5a1c0f2a11",
        "",
    ],
)
def test_a_pid_without_a_handle_fail(pid: str) -> None:
    assert handle_of(pid) is None


@pytest.mark.parametrize(
    ("pid", "handle"),
    [
        ("https://hdl.handle.net/20.5/x", Handle("20.5", "x")),
        ("https://doi.org/10.1000/x/y", Handle("10.1000", "x/y")),
        ("https://hdl.handle.net/20.5/a%20b%252F", Handle("20.5", "a b%2F")),
    ],
)
def test_a_pid_with_a_handle(pid: str, handle: Handle) -> None:
    assert handle_of(pid) == handle


# --- byte for byte


def test_a_site_of_their_library() -> None:
    data = bytes.fromhex(SITE_HEX)
    assert site.encode(site.decode(data)) == data
    value = values.value_from_json(json.loads(SITE_JSON))
    assert value.data == data
    assert values.dumps(values.value_to_json(value)).decode() == SITE_JSON


@pytest.mark.parametrize("written", OTHERS)
def test_values_of_their_library(written: str) -> None:
    assert values.dumps(values.value_to_json(values.value_from_json(json.loads(written)))).decode() == written


def test_hex_is_read_and_not_written() -> None:
    value = values.value_from_json({"index": 1, "type": "X", "data": {"format": "hex", "value": "0Aff"}})
    assert values.value_to_json(value)["data"] == {"format": "base64", "value": "Cv8="}


@pytest.mark.parametrize(
    ("handle", "numbers"),
    [
        ("20.500.12345/abc", (1502227973, 891676978, 1894531649)),
        ("20.500.12345/ABC", (1502227973, 891676978, 1894531649)),
        ("0.NA/20.500.12345", (36223079, 1502227973, 888771916)),
        ("10.1000/é", (2091615925, 1689532561, 1173179347)),
    ],
)
def test_numbers_of_their_library(handle: str, numbers: tuple[int, ...]) -> None:
    assert tuple(site.hash_of(read_handle(handle), option) for option in site.Hash) == numbers


def test_answers_in_the_order_of_their_library() -> None:
    handle = read_handle("20.5/x")
    said = [
        values.Answer(code=100, handle=handle),
        values.Answer(code=200, handle=handle, values=()),
        values.Answer(code=301, handle=handle, message="not mine"),
        values.Answer(code=303, handle=handle, referral="0.NA/20"),
    ]
    assert [values.write_answer(one).decode() for one in said] == [
        '{"responseCode":100,"handle":"20.5/x"}',
        '{"responseCode":200,"values":[],"handle":"20.5/x"}',
        '{"responseCode":301,"message":"not mine","handle":"20.5/x"}',
        '{"responseCode":303,"referralHandle":"0.NA/20","handle":"20.5/x"}',
    ]
    assert [values.read_answer(values.write_answer(one), what="it") for one in said] == said


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_comes_back(text: str) -> None:
    value = values.text_value(1, "X", text)
    assert values.value_from_json(json.loads(values.dumps(values.value_to_json(value)))).text == text


def test_prefixes_differ_in_nothing_but_ascii_case() -> None:
    assert names.same_prefix("20.Tab", "20.tAB")
    assert not names.same_prefix("20.strasse", "20.straße")
    assert not names.same_prefix("20.k", "20.\u212a")
    assert Handle("20.T", "a").same_as(Handle("20.t", "a"))
    assert not Handle("20.T", "a").same_as(Handle("20.T", "A"))
    assert Handle("0.na", "20.t").same_as(Handle("0.NA", "20.T"))


# --- signatures


def _signature(**changes: Any) -> tuple[str, tuple[HandleValue, ...]]:
    signed = (values.text_value(1, "URL", "x"), values.text_value(2, "EMAIL", "y"))
    options: dict[str, Any] = {
        "key": handleservers.key(0),
        "issuer": Reference("0.NA/20.5", 300),
        "not_before": NOW - timedelta(hours=1),
        "expires": NOW + timedelta(hours=1),
        "issued": NOW,
    } | changes
    return digest.sign_values(read_handle("20.5/x"), signed, **options), signed


def _check(jws: str, given_values: Any, handle: str = "20.5/x", number: int = 0, at: datetime = NOW) -> Any:
    key = wire.RsaKey.of(handleservers.key(number).public_key())
    return digest.check_signature(jws, handle=read_handle(handle), values=given_values, key=key, at=at)


def _with_header(jws: str, header: dict[str, Any]) -> str:
    return ".".join([digest._encode(values.dumps(header)), *jws.split(".")[1:]])


def test_signatures_that_do_not_hold_fail() -> None:
    jws, signed = _signature()
    assert _check(jws, signed).indexes == {1, 2}
    assert _check(jws, [*signed, values.text_value(3, "X", "z")]).indexes == {1, 2}
    cases: list[tuple[str, Any, dict[str, Any]]] = [
        (jws, signed[:1], {}),
        (jws, (signed[0], values.text_value(2, "EMAIL", "z")), {}),
        (jws, (signed[0], values.text_value(2, "EMAIL", "y", ttl=1)), {}),
        (jws, signed, {"handle": "20.5/y"}),
        (jws, signed, {"number": 1}),
        (jws, signed, {"at": NOW + timedelta(hours=2)}),
        (jws, signed, {"at": NOW - timedelta(hours=2)}),
        (jws[:-4] + "AAAA", signed, {}),
        (jws + "=", signed, {}),
        (jws + ".x", signed, {}),
        ("", signed, {}),
        ("..", signed, {}),
        (_with_header(jws, {"alg": "none"}), signed, {}),
        (_with_header(jws, {"alg": "HS256"}), signed, {}),
        (_with_header(jws, {"alg": "RS256", "crit": ["x"]}), signed, {}),
        (_with_header(jws, {"alg": "RS256", "kid": "x"}), signed, {}),
    ]
    for given_jws, given_values, more in cases:
        with pytest.raises(ResolutionError):
            _check(given_jws, given_values, **more)


def test_a_chain_of_key_certificates() -> None:
    root, middle, leaf = (handleservers.key(number) for number in range(3))
    times = {"not_before": NOW - timedelta(hours=1), "expires": NOW + timedelta(hours=1), "issued": NOW}

    def certify(number: int, issuer: Any, perms: list[tuple[str, str]]) -> str:
        subject = Reference("0.NA/20.5", 300)
        public = wire.RsaKey.of(handleservers.key(number).public_key())
        return digest.sign_key(
            subject, public, permissions=perms, key=issuer, issuer=Reference("0.0/0.0", 300), **times
        )

    handle, at_root = read_handle("20.5/x"), wire.RsaKey.of(root.public_key())
    good = [certify(1, root, [("", digest.EVERYTHING)]), certify(2, middle, [("0.NA/20.5", digest.UNDER_THIS_PREFIX)])]
    assert digest.check_chain(good, root=at_root, handle=handle, at=NOW) == wire.RsaKey.of(leaf.public_key())
    for bad in (
        [good[1]],
        good[::-1],
        [good[0], certify(2, middle, [("0.NA/20.6", digest.UNDER_THIS_PREFIX)])],
        [good[0], certify(2, middle, [])],
        [good[0]] * 17,
    ):
        with pytest.raises(ResolutionError):
            digest.check_chain(bad, root=at_root, handle=handle, at=NOW)
