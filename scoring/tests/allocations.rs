//! Epochs leave nothing behind.
#![expect(unsafe_code, reason = "an allocator that counts can only be installed as one")]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use scoring::fixed::I64F64;
use scoring::variants::Rules;
use scoring::yuma::{
    ConsensusKind, ConsensusSource, EpochInput, EpochParams, LiquidAlpha, NeuronInput, epoch,
};

/// The system's allocator, and the bytes that it has given and not got back.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is the system's, unchanged; counting touches atomics alone.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NEURONS: u16 = 24;
const VALIDATORS: u16 = 6;

fn subnet() -> EpochInput {
    let row =
        |uid: u16| (VALIDATORS..NEURONS).map(move |to| (to, 1_000 + 977 * (uid + to) % 60_000));
    let neuron = |uid: u16| NeuronInput {
        stake: I64F64::from_num(if uid < VALIDATORS { 1_000 + u64::from(uid) } else { 0 }),
        last_update: 990,
        block_at_registration: 1,
        validator_permit: uid < VALIDATORS,
        weights: if uid < VALIDATORS { row(uid).collect() } else { vec![] },
        ..NeuronInput::default()
    };
    let liquid = LiquidAlpha {
        low: 45_875,
        high: 58_982,
        steepness: 1_000,
        consensus: ConsensusSource::Current,
    };
    EpochInput {
        block: 1_000,
        tempo: 360,
        last_step_block: 640,
        emission: 148_000_000_000,
        params: EpochParams {
            activity_cutoff: 5_000,
            owner_uid: Some(0),
            stake_threshold: 0,
            max_allowed_validators: VALIDATORS,
            kappa: 32_767,
            bonds_moving_average: 900_000,
            bonds_penalty: 0,
            yuma3: true,
            liquid_alpha: Some(liquid),
            commit_reveal: false,
            consensus: ConsensusKind::Yuma,
        },
        neurons: (0..NEURONS).map(neuron).collect(),
        previous_consensus: vec![],
    }
}

/// Runs epochs of one subnet, bonds carried over; the variants take turns.
fn run(input: &mut EpochInput, epochs: usize) {
    for index in 0..epochs {
        input.params.yuma3 = index % 2 == 0;
        let output = epoch(input, &Rules::SPEC_425).unwrap();
        for (neuron, bonds) in input.neurons.iter_mut().zip(output.bonds) {
            neuron.bonds = bonds;
        }
    }
}

#[test]
fn ten_thousand_epochs_need_no_more_memory_than_ten() {
    let mut input = subnet();
    run(&mut input, 10);
    let (live, peak) = (LIVE.load(Relaxed), PEAK.load(Relaxed));
    run(&mut input, 9_990);
    let grown = LIVE.load(Relaxed).saturating_sub(live);
    // The harness may write a line meanwhile; an epoch that kept one byte would show 9,990.
    assert!(grown < 4_096, "{grown} bytes more are held");
    let peak_grown = PEAK.load(Relaxed).saturating_sub(peak);
    assert!(peak_grown < 4_096, "the peak grew by {peak_grown} bytes");
}
