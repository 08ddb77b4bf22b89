//! What a request costs the miner's processor before its handler runs, and its answer after.
//!
//! The goals: a verified request of 1 KiB in 45 µs, one from an unknown key in 3 µs.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing to report")]

use std::hint::black_box;

use chain_metadata::Hotkey;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use http::HeaderMap;
use sp_core::{Pair as _, sr25519};
use wire::{
    Admission, Freshness, ReplayStore, Roster, Signer, UnixNanos, answer,
    auth::{AuthError, Claim, NonceSource, Verified, sign},
};

const TARGET: &str = "/v1/generate";

fn key(name: &str) -> Signer {
    sr25519::Pair::from_string(name, None).unwrap().into()
}

struct Miner {
    signer: Signer,
    roster: Roster,
    replay: ReplayStore,
    freshness: Freshness,
}

impl Miner {
    /// With as many callers on its roster as a subnet has slots.
    fn new(known: &Signer) -> Self {
        let others = (0..255u8).map(|n| Hotkey::from_bytes([n; 32]));
        let freshness = Freshness::default();
        Self {
            signer: key("//Bob"),
            roster: others.chain([known.hotkey()]).collect(),
            replay: ReplayStore::for_new_key(freshness),
            freshness,
        }
    }

    fn hear(&self, headers: &HeaderMap) -> Option<Claim> {
        let claim = Claim::parse(headers).ok()?;
        claim.addressed_to(self.signer.address()).ok()?;
        self.freshness.check(claim.nonce(), UnixNanos::now()).ok()?;
        self.roster.admit(&claim.sender()).ok()?;
        Some(claim)
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<Verified, AuthError> {
        let claim = self.hear(headers).ok_or(AuthError::BadSignature)?;
        let verified = claim.verify("POST", TARGET, body)?;
        self.replay.accept(&verified, UnixNanos::now()).unwrap();
        Ok(verified)
    }
}

fn auth(criterion: &mut Criterion) {
    let (alice, eve) = (key("//Alice"), key("//Eve"));
    let miner = Miner::new(&alice);
    let (receiver, nonces) = (miner.signer.hotkey(), NonceSource::default());
    let body = vec![b'x'; 1024];
    let signed = |signer| sign(signer, "POST", TARGET, &body, Some(&receiver), nonces.next()).0;

    let mut group = criterion.benchmark_group("auth");
    group.throughput(Throughput::Elements(1));
    group.bench_function("sign 1 KiB", |b| b.iter(|| signed(black_box(&alice))));
    group.bench_function("verify 1 KiB", |b| {
        let fresh = || signed(&alice);
        b.iter_batched(fresh, |h| miner.verify(&h, &body).unwrap(), BatchSize::SmallInput);
    });
    group.bench_function("refuse an unknown key", |b| {
        let fresh = || signed(&eve);
        b.iter_batched_ref(
            fresh,
            |h| assert!(miner.hear(black_box(h)).is_none()),
            BatchSize::SmallInput,
        );
    });

    let request = miner.verify(&signed(&alice), &body).unwrap();
    let mut headers = HeaderMap::new();
    group.bench_function("seal an answer of 1 KiB", |b| {
        b.iter(|| answer::seal(&mut headers, &miner.signer, &request, 200, black_box(&body)));
    });
    group.bench_function("check an answer of 1 KiB", |b| {
        b.iter(|| {
            answer::check(&headers, &receiver, &request, 200, black_box(&body)).unwrap();
        });
    });
    group.finish();
}

criterion_group!(benches, auth);
criterion_main!(benches);
