"""What revocation means for a signature, by reason, start of the trouble and proof of time."""

from __future__ import annotations

import runpy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from rawtrace.ledger.note import VerifierKey
from rawtrace.ledger.policy import Policy
from rawtrace.trust.anchors import StatusRecord, TrustList
from rawtrace.trust.scope import LogPosition, Scope, ScopeKind, Stated
from rawtrace.trust.status import LogProof, Standing, StatusReader, standing, standing_of

c = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "chains.py")))
START_OF_TROUBLE, REVOKED = datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 9, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
EARLY, MIDDLE, LATE = START_OF_TROUBLE - SECOND, REVOKED - SECOND, REVOKED + SECOND

ROOT = c.make("Example root", ca=True)
AUTHORITY = c.make("Example authority", ROOT, ca=True)
LEAF = c.make("Example microscope", AUTHORITY)
CHAIN = [LEAF.certificate, AUTHORITY.certificate, ROOT.certificate]
AFTER, BEFORE, UNPROVEN = Standing.REVOKED_AFTER, Standing.REVOKED_BEFORE, Standing.COMPROMISE_UNPROVEN


def record(party, issuer, *, reason: str = "superseded", start: datetime | None = None) -> StatusRecord:
    return StatusRecord(
        serial=party.certificate.serial_number,
        authority_key_id=c.key_id(issuer),
        reason=reason,
        revoked_at=REVOKED,
        compromised_from=start,
    )


def lists(*records: StatusRecord) -> list[TrustList]:
    return [c.listing(c.anchor(ROOT), statuses=records)]


COMPROMISES = ["keyCompromise", "cACompromise", "aACompromise"]
ADMINISTRATIVE = ["superseded", "cessationOfOperation", "affiliationChanged"]
OTHERS = ["unspecified", "privilegeWithdrawn", "certificateHold", "a word from the future"]


@pytest.mark.parametrize("reason", COMPROMISES + ADMINISTRATIVE + OTHERS)
@pytest.mark.parametrize(
    ("trusted", "claimed", "expected"),
    [
        (EARLY, None, AFTER),
        (EARLY, LATE, AFTER),
        (START_OF_TROUBLE, EARLY, BEFORE),
        (MIDDLE, EARLY, BEFORE),
        (None, EARLY, UNPROVEN),
        (None, START_OF_TROUBLE, BEFORE),
        (None, LATE, BEFORE),
        (None, None, UNPROVEN),
    ],
)
def test_known_start(reason, trusted, claimed, expected) -> None:
    about = record(LEAF, AUTHORITY, reason=reason, start=START_OF_TROUBLE)
    assert standing_of(about, claimed_at=claimed, trusted_at=trusted) is expected


@pytest.mark.parametrize(
    ("reasons", "trusted", "claimed", "expected"),
    [
        (COMPROMISES, MIDDLE, None, UNPROVEN),
        (ADMINISTRATIVE + OTHERS, MIDDLE, None, AFTER),
        (COMPROMISES + OTHERS, REVOKED, EARLY, BEFORE),
        (ADMINISTRATIVE, REVOKED, EARLY, AFTER),
        (ADMINISTRATIVE, REVOKED, REVOKED, BEFORE),
        (ADMINISTRATIVE, REVOKED, None, BEFORE),
        (COMPROMISES + OTHERS, None, MIDDLE, UNPROVEN),
        (ADMINISTRATIVE, None, MIDDLE, AFTER),
        (COMPROMISES + ADMINISTRATIVE + OTHERS, None, REVOKED, BEFORE),
        (COMPROMISES + ADMINISTRATIVE + OTHERS, None, None, UNPROVEN),
    ],
)
def test_unknown_start(reasons, trusted, claimed, expected) -> None:
    for reason in reasons:
        about = record(LEAF, AUTHORITY, reason=reason)
        assert standing_of(about, claimed_at=claimed, trusted_at=trusted) is expected, reason


def test_start_after_revocation_counts_as_revocation_fail() -> None:
    about = record(LEAF, AUTHORITY, start=REVOKED + timedelta(days=90))
    assert standing_of(about, claimed_at=None, trusted_at=LATE) is BEFORE


def test_times_without_zone_are_utc() -> None:
    about = record(LEAF, AUTHORITY)
    assert standing_of(about, claimed_at=REVOKED.replace(tzinfo=None), trusted_at=None) is BEFORE


def test_no_record_is_good() -> None:
    assert standing(CHAIN, lists(), claimed_at=LATE, trusted_at=None) == (Standing.GOOD, None)


def test_leaf_revoked_fail() -> None:
    about = record(LEAF, AUTHORITY)
    assert standing(CHAIN, lists(about), claimed_at=LATE, trusted_at=None) == (BEFORE, about)


def test_authority_revoked_fail() -> None:
    about = record(AUTHORITY, ROOT, reason="cACompromise", start=START_OF_TROUBLE)
    assert standing(CHAIN, lists(about), claimed_at=EARLY, trusted_at=None) == (UNPROVEN, about)
    assert standing(CHAIN, lists(about), claimed_at=None, trusted_at=EARLY) == (AFTER, about)
    assert standing(CHAIN, lists(about), claimed_at=None, trusted_at=LATE) == (BEFORE, about)


def test_authority_found_when_the_chain_lacks_its_issuer_fail() -> None:
    authority = c.make("Example authority", ROOT, ca=True, aki=None)
    leaf = c.make("Leaf", authority)
    about = record(authority, ROOT)
    chain = [leaf.certificate, authority.certificate]
    assert standing(chain, lists(about), claimed_at=LATE, trusted_at=None) == (BEFORE, about)


def test_same_serial_of_another_issuer_is_no_match() -> None:
    about = record(LEAF, ROOT)
    assert standing(CHAIN, lists(about), claimed_at=LATE, trusted_at=None) == (Standing.GOOD, None)
    # A certificate that stands above it in the chain without having issued it does not lend its key.
    stranger = c.make("Stranger", ca=True)
    chain = [LEAF.certificate, stranger.certificate]
    found = standing(chain, lists(record(LEAF, stranger)), claimed_at=LATE, trusted_at=None)
    assert found == (Standing.UNKNOWN, None)


def test_wrong_authority_key_id_in_leaf_hides_nothing_fail() -> None:
    leaf = c.make("Leaf", AUTHORITY, aki=b"x" * 20)
    about = record(leaf, AUTHORITY)
    chain = [leaf.certificate, AUTHORITY.certificate]
    assert standing(chain, lists(about), claimed_at=LATE, trusted_at=None) == (BEFORE, about)


def test_issuer_without_key_id_fail() -> None:
    authority = c.make("Example authority", ROOT, ca=True, ski=False)
    leaf = c.make("Leaf", authority, aki=None)
    about = record(leaf, authority)
    chain = [leaf.certificate, authority.certificate]
    assert standing(chain, lists(about), claimed_at=LATE, trusted_at=None) == (BEFORE, about)


def test_worst_of_several_lists_and_records_counts_fail() -> None:
    mild = record(LEAF, AUTHORITY)
    grave = record(LEAF, AUTHORITY, reason="keyCompromise", start=START_OF_TROUBLE)
    both = [*lists(mild), *lists(grave)]
    for order in (both, both[::-1]):
        assert standing(CHAIN, order, claimed_at=EARLY, trusted_at=None) == (UNPROVEN, grave)
    upper = record(AUTHORITY, ROOT, reason="cACompromise", start=EARLY)
    assert standing(CHAIN, lists(mild, upper), claimed_at=None, trusted_at=EARLY) == (BEFORE, upper)


def test_unknown_when_no_list_speaks_for_the_authority() -> None:
    assert standing(CHAIN, [], claimed_at=LATE, trusted_at=None) == (Standing.UNKNOWN, None)
    other = [c.listing(c.anchor(c.make("Other", ca=True)))]
    assert standing(CHAIN, other, claimed_at=LATE, trusted_at=None) == (Standing.UNKNOWN, None)
    assert standing([], lists(), claimed_at=LATE, trusted_at=None) == (Standing.UNKNOWN, None)


def test_a_record_outweighs_not_knowing_fail() -> None:
    only_status = [c.listing(statuses=[record(LEAF, AUTHORITY)])]
    assert standing(CHAIN, only_status, claimed_at=LATE, trusted_at=None)[0] is BEFORE
    assert standing(CHAIN, only_status, claimed_at=EARLY, trusted_at=None)[0] is Standing.UNKNOWN


def test_reader_equals_function() -> None:
    about = record(LEAF, AUTHORITY, start=START_OF_TROUBLE)
    reader = StatusReader(lists(about))
    for at in (None, EARLY, LATE):
        for trusted in (None, EARLY, LATE):
            wanted = standing(CHAIN, lists(about), claimed_at=at, trusted_at=trusted)
            assert reader.standing(CHAIN, claimed_at=at, trusted_at=trusted) == wanted


def test_every_standing_has_words() -> None:
    assert len({one.words for one in Standing}) == len(Standing)


# The order in a log.

LOG, TWIN, ELSEWHERE = (VerifierKey("log.example.org", 1, bytes([number]) * 32) for number in (1, 2, 3))
ORIGIN = LOG.name


def with_log(*records: StatusRecord, key: VerifierKey = LOG) -> list[TrustList]:
    policy = Policy.parse(f"log {key.text}\nquorum none\n")
    return [replace(one, policies=(policy,)) for one in lists(*records)]


def proof(index: int, time: datetime = LATE, key: VerifierKey = LOG) -> LogProof:
    return LogProof(key=key.text, origin=key.name, index=index, time=time)


def about(reason: str, start: datetime | None = None, **places: int) -> StatusRecord:
    positions = {name: LogPosition(origin=ORIGIN, index=index) for name, index in places.items()}
    return replace(record(LEAF, AUTHORITY, reason=reason, start=start), **positions)


@pytest.mark.parametrize(
    ("said", "index", "stamped", "claimed", "expected"),
    [
        # A place where the doubt begins counts for every reason, whatever any clock says.
        (about("keyCompromise", doubt_from=5), 4, None, LATE, AFTER),
        (about("keyCompromise", doubt_from=5), 5, None, EARLY, BEFORE),
        (about("keyCompromise", doubt_from=5), 5, EARLY, EARLY, UNPROVEN),
        (about("keyCompromise", START_OF_TROUBLE, doubt_from=5), 4, LATE, LATE, AFTER),
        (about("keyCompromise", START_OF_TROUBLE, doubt_from=5), 9, None, EARLY, BEFORE),
        # The status' own place is where the doubt begins, if its reason says so.
        (about("privilegeWithdrawn", logged=5), 4, None, LATE, AFTER),
        (about("privilegeWithdrawn", logged=5), 6, None, EARLY, BEFORE),
        (about("unspecified", logged=5), 6, MIDDLE, EARLY, UNPROVEN),
        # A theft is older than its discovery, so the place of its discovery proves nothing.
        (about("keyCompromise", logged=5), 4, EARLY, EARLY, UNPROVEN),
        (about("keyCompromise", START_OF_TROUBLE, logged=5), 4, None, EARLY, BEFORE),
        # The key was never in doubt: being logged late makes nothing worse.
        (about("superseded", logged=5), 6, None, EARLY, AFTER),
        (about("superseded", logged=5), 6, None, LATE, BEFORE),
        (about("superseded", logged=5), 4, None, LATE, AFTER),
    ],
)
def test_the_order_in_the_log_counts(said, index, stamped, claimed, expected) -> None:
    found = standing(CHAIN, with_log(said), claimed_at=claimed, trusted_at=stamped, proofs=(proof(index),))
    assert found == (expected, said)


@pytest.mark.parametrize(
    ("trust", "shown"),
    [
        (with_log(about("keyCompromise", doubt_from=5)), proof(0, key=TWIN)),
        (with_log(about("keyCompromise", doubt_from=5), key=TWIN), proof(0)),
        (with_log(about("keyCompromise", doubt_from=5), key=ELSEWHERE), proof(0)),
        (lists(about("keyCompromise", doubt_from=5)), proof(0)),
        (with_log(about("keyCompromise", doubt_from=5)), proof(0, key=ELSEWHERE)),
    ],
)
def test_only_the_very_log_that_the_list_names_is_compared_fail(trust, shown) -> None:
    assert standing(CHAIN, trust, claimed_at=EARLY, trusted_at=None, proofs=(shown,))[0] is BEFORE


def test_the_oldest_of_several_places_counts() -> None:
    said = about("keyCompromise", doubt_from=5)
    shown = (proof(9, EARLY), proof(4), proof(0, key=TWIN))
    assert standing(CHAIN, with_log(said), claimed_at=None, trusted_at=None, proofs=shown)[0] is AFTER


def test_the_earliest_time_counts_where_no_place_can_be_compared() -> None:
    said = record(LEAF, AUTHORITY, reason="keyCompromise", start=START_OF_TROUBLE)
    shown = (proof(9, LATE), proof(3, EARLY, ELSEWHERE))
    assert standing(CHAIN, lists(said), claimed_at=None, trusted_at=LATE, proofs=shown)[0] is AFTER


# Firmware, products, features.

PRODUCT = {"manufacturer": "Example Optics", "model": "Widefield 1"}
USED = Stated(**PRODUCT, features=frozenset({"multiple-exposure"}))
SILENT, UNUSED = Stated(**PRODUCT), Stated(**PRODUCT, features=frozenset())


def scoped(reason: str = "privilegeWithdrawn", start: datetime | None = None, issuer=AUTHORITY) -> StatusRecord:
    return StatusRecord(
        authority_key_id=c.key_id(issuer),
        scope=Scope(kind=ScopeKind.FEATURE, feature="multiple-exposure", **PRODUCT),
        reason=reason,
        revoked_at=REVOKED,
        compromised_from=start,
    )


@pytest.mark.parametrize(
    ("said", "stated", "trusted", "claimed", "expected"),
    [
        (scoped(start=START_OF_TROUBLE), USED, None, LATE, BEFORE),
        (scoped(start=START_OF_TROUBLE), USED, None, EARLY, UNPROVEN),
        (scoped(start=START_OF_TROUBLE), USED, EARLY, EARLY, AFTER),
        (scoped(), USED, EARLY, EARLY, UNPROVEN),
        (scoped("cessationOfOperation"), USED, None, EARLY, AFTER),
        (scoped(start=START_OF_TROUBLE), SILENT, None, LATE, Standing.SCOPE_UNSTATED),
        (scoped(start=START_OF_TROUBLE), SILENT, None, EARLY, Standing.SCOPE_UNSTATED),
        (scoped(start=START_OF_TROUBLE), SILENT, EARLY, EARLY, AFTER),
        (scoped(start=START_OF_TROUBLE), UNUSED, None, LATE, Standing.GOOD),
        (scoped(start=START_OF_TROUBLE), Stated(), None, LATE, Standing.SCOPE_UNSTATED),
        (scoped(start=START_OF_TROUBLE), None, None, LATE, Standing.GOOD),
        (scoped(start=START_OF_TROUBLE, issuer=ROOT), USED, None, LATE, Standing.GOOD),
    ],
)
def test_scopes(said, stated, trusted, claimed, expected) -> None:
    for ask in (standing, lambda chain, trust, **more: StatusReader(trust).standing(chain, **more)):
        found, _ = ask(CHAIN, lists(said), claimed_at=claimed, trusted_at=trusted, stated=stated)
        assert found is expected


def test_a_list_that_does_not_name_the_authority_cannot_speak_in_its_name_fail() -> None:
    stranger = c.listing(c.anchor(c.make("Another root", ca=True)), statuses=(scoped(start=START_OF_TROUBLE),))
    found, _ = standing(CHAIN, [*lists(), stranger], claimed_at=LATE, trusted_at=None, stated=USED)
    assert found is Standing.GOOD


def test_what_a_certificate_says_of_its_issuer_is_no_proof_fail() -> None:
    """The signer's certificate names another authority's key as its issuer's; its own issuer has spoken."""
    other = c.make("Other authority", ROOT, ca=True)
    said = replace(scoped(start=START_OF_TROUBLE), authority_key_id=c.key_id(other))
    assert standing(CHAIN, lists(said), claimed_at=LATE, trusted_at=None, stated=USED)[0] is Standing.GOOD
