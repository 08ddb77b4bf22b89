//! How long an epoch takes on one thread: `cargo bench -p scoring --bench epoch`.
//!
//! - `epoch`: what the chain runs. `plain`: the same, step by step. `exp`: one exponential.
//! - With `EPOCH_ONCE=<neurons>x<validators>:<variant>` it runs one epoch and leaves, for
//!   instruction counts: see `benches/compare.sh`.
#![expect(clippy::print_stdout, reason = "a program for people")]

mod subnet;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use scoring::fixed::{I32F32, exp_safe};
use scoring::variants::Rules;
use scoring::yuma::{epoch, exp_bits, explain};
use subnet::{Variant, dense};

/// Neurons and validators of the measured subnets.
const SIZES: [(u16, u16); 2] = [(256, 64), (4_096, 256)];

/// An exponent in the middle of what liquid alpha asks for.
const EXPONENT: i64 = 3 << 32 | 0x1357_9BDF;

fn main() {
    if let Ok(once) = std::env::var("EPOCH_ONCE") {
        run_once(&once);
        return;
    }
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .sample_size(20)
        .configure_from_args();
    epochs(&mut criterion);
    exponentials(&mut criterion);
    criterion.final_summary();
}

fn epochs(criterion: &mut Criterion) {
    for (neurons, validators) in SIZES {
        let size = format!("{neurons}x{validators}");
        let mut group = criterion.benchmark_group(&size);
        group.throughput(Throughput::Elements(u64::from(neurons) * u64::from(validators)));
        for variant in Variant::ALL {
            let input = dense(neurons, validators, variant);
            group.bench_function(BenchmarkId::new("epoch", variant.name()), |bencher| {
                bencher.iter(|| epoch(black_box(&input), &Rules::SPEC_425));
            });
            if neurons == 256 {
                group.bench_function(BenchmarkId::new("plain", variant.name()), |bencher| {
                    bencher.iter(|| explain(black_box(&input), &Rules::SPEC_425));
                });
            }
        }
    }
}

fn exponentials(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exp");
    group.bench_function("series of the crate", |bencher| {
        bencher.iter(|| exp_safe(black_box(I32F32::from_bits(EXPONENT))));
    });
    group.bench_function("eight lanes of ours", |bencher| {
        bencher.iter(|| exp_bits(black_box(EXPONENT)));
    });
}

/// Runs one epoch of `<neurons>x<validators>:<variant>`; with the variant `none` it only builds
/// the input, whose instructions are to be subtracted.
fn run_once(what: &str) {
    let parsed = what.split_once(':').and_then(|(size, variant)| {
        let (neurons, validators) = size.split_once('x')?;
        Some((neurons.parse().ok()?, validators.parse().ok()?, variant))
    });
    let Some((neurons, validators, name)) = parsed else {
        println!("EPOCH_ONCE=<neurons>x<validators>:<variant>, not {what}");
        return;
    };
    let variant = Variant::ALL.into_iter().find(|variant| variant.name() == name);
    let input = dense(neurons, validators, variant.unwrap_or(Variant::Classic));
    let output = variant.map(|_| epoch(&input, &Rules::SPEC_425));
    println!("{what}: {:?}", output.map(|epoch| epoch.map(|epoch| epoch.emission.len())));
}
