"""How many certificates a second are found by PID from what was kept, with their record's signature checked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks.data import Signer
from benchmarks.harness import Bench, Row, Spread
from rawtrace.trust.handles import digest, values
from rawtrace.trust.handles.cache import Cache
from rawtrace.trust.handles.names import Handle, read_handle
from rawtrace.trust.handles.resolve import Resolver
from rawtrace.trust.handles.roots import RootSite
from rawtrace.trust.handles.site import Interface, Server, Site
from rawtrace.trust.handles.values import Answer, Code, HandleValue, Reference
from rawtrace.trust.handles.wire import RsaKey, encode_key

PREFIX = "20.500.12345"
LEAST_A_SECOND = 1000
CERTIFICATE_BYTES = 700


def rows(bench: Bench, signer: Signer) -> Iterator[Row]:
    del signer
    folder, count = bench.new_folder("resolution"), bench.size(500, 20)
    root, handles = _fill(folder, count)
    for what, again in (("from disk", False), ("from memory", True)):
        rates = []
        for _ in range(bench.size(7, 2)):
            cache = Cache(folder)
            with Resolver([root], cache=cache) as resolver:
                if again:
                    _resolve_all(resolver, handles)
                # One thread, so what it computes is what it takes, and a busy machine does not count.
                began = time.process_time()
                _resolve_all(resolver, handles)
                rates.append(count / (time.process_time() - began))
        rate = Spread.of(rates)
        yield Row(
            what=f"certificates found by PID, {what}",
            figure=f"{rate.show(0)} in a second of CPU",
            target=f"at least {LEAST_A_SECOND} in a second of CPU",
            met=rate.median >= LEAST_A_SECOND,
            note=f"{count} instruments; the record's RSA signature is checked each time",
            cpu_s=1 / rate.median,
        )


def _resolve_all(resolver: Resolver, handles: list[str]) -> None:
    for handle in handles:
        record = resolver.resolve(handle)
        if not record.signed or not record.all(values.INSTRUMENT_CERTIFICATE):
            msg = f"{handle} was not found as it was kept"
            raise AssertionError(msg)


def _fill(folder: Path, count: int) -> tuple[RootSite, list[str]]:
    private = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    key, now = RsaKey.of(private.public_key()), datetime.now(UTC)
    store = Server(id=1, address="127.0.0.1", key=encode_key(key), interfaces=(Interface(protocol="HTTPS", port=8650),))
    root = RootSite(url="https://127.0.0.1:8651", key_sha256="00" * 32)
    cache = Cache(folder)
    about = read_handle(f"0.NA/{PREFIX}")
    _keep(
        cache, root.key_sha256, about, [values.site_value(1, Site(servers=(store,))), values.key_value(300, key)], now
    )
    handles = [f"{PREFIX}/instrument-{number}" for number in range(count)]
    for number, text in enumerate(handles):
        handle = read_handle(text)
        record = [
            values.text_value(1, values.URL, f"https://store.example.org/instruments/{text}"),
            *(values.text_value(10 + n, f"21.T11148/{n}", '{"identifierValue":"a property"}' * 3) for n in range(13)),
            HandleValue(
                index=500,
                type=values.INSTRUMENT_CERTIFICATE,
                data=number.to_bytes(4, "big") + bytes(CERTIFICATE_BYTES),
            ),
        ]
        jws = digest.sign_values(
            handle,
            record,
            key=private,
            issuer=Reference(about.text, 300),
            not_before=now - timedelta(hours=1),
            expires=now + timedelta(days=1),
            issued=now,
        )
        _keep(cache, key.sha256(), handle, [*record, values.text_value(400, values.SIGNATURE, jws)], now)
    return root, handles


def _keep(cache: Cache, key_sha256: str, handle: Handle, given: list[HandleValue], now: datetime) -> None:
    answer = Answer(code=Code.SUCCESS, handle=handle, values=tuple(given))
    cache.put(key_sha256, handle, values.write_answer(answer), answer, url="https://127.0.0.1:8650", now=now)
