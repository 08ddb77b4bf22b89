use half::bf16;

use super::{bits, device, noise, put, room, run, wide};
use crate::{
    Sampling,
    cuda::{
        driver::Device,
        kernels::{Answer, Ask, Launch, NO_TOKEN, SampleArgs, count},
    },
    engine::TokenCheck,
    sample::{halves, least_word},
};

fn ask(sampling: &Sampling, position: u32, claimed: Option<u32>) -> Ask {
    Ask {
        seed: halves(sampling.seed()),
        position,
        claimed: claimed.unwrap_or(NO_TOKEN),
        temperature: sampling.temperature(),
        top_p: 1.0,
        top_k: 0,
        unused: 0,
    }
}

fn answers(device: &Device, logits: &[bf16], asks: &[Ask]) -> Vec<Answer> {
    let vocab = logits.len() / asks.len();
    let (logits, on_device) = (put(device, &bits(logits)), put(device, asks));
    let answers = room(device, asks.len());
    let args = SampleArgs {
        logits: logits.start(),
        asks: on_device.start(),
        answers: answers.start(),
        vocab: count(vocab),
        least_word: std::array::from_fn(least_word),
    };
    run(device, Launch::sample(asks.len()), &args);
    answers.read(0..asks.len()).unwrap()
}

/// Logits of a few nats' spread.
fn logits(rows: usize, vocab: usize) -> Vec<bf16> {
    let noise = noise(rows * vocab, 11);
    noise.into_iter().map(|v| bf16::from_f32(v.to_f32() * 6.0)).collect()
}

#[test]
#[cfg_attr(not(feature = "cuda-emulation"), ignore = "needs a CUDA device")]
fn the_device_draws_the_tokens_of_gumbel_v1() {
    let device = device();
    let (rows, vocab) = (48, 1003);
    let logits = logits(rows, vocab);
    let samplings: Vec<Sampling> = (0..rows as u64)
        .map(|row| Sampling::new([0.0, 0.3, 1.0, 1.7][row as usize % 4], row * 0x1_0000_0001))
        .collect::<Result<_, _>>()
        .unwrap();
    let asks: Vec<Ask> =
        samplings.iter().zip(0..).map(|(sampling, row)| ask(sampling, row * 3, None)).collect();
    let wide = wide(&logits);
    for (row, answer) in answers(&device, &logits, &asks).iter().enumerate() {
        let drawn = samplings[row].draw(&wide[row * vocab..(row + 1) * vocab], row as u32 * 3);
        assert_eq!((answer.token, answer.drawn), (drawn, drawn), "row {row}");
        assert_eq!(answer.margin.to_bits(), 0, "row {row}");
    }
}

#[test]
#[cfg_attr(not(feature = "cuda-emulation"), ignore = "needs a CUDA device")]
fn a_claimed_token_is_checked_as_on_the_processors() {
    let device = device();
    let vocab = 517;
    let logits = logits(3, vocab);
    for (row, temperature) in [0.0_f32, 0.7, 1.0].into_iter().enumerate() {
        let sampling = Sampling::new(temperature, 99).unwrap();
        let claimed = 40 + row as u32;
        let row = &logits[row * vocab..(row + 1) * vocab];
        let got = answers(&device, row, &[ask(&sampling, 5, Some(claimed))])[0];
        let want = TokenCheck::new(&wide(row), claimed, &sampling, 5);
        assert_eq!((got.token, got.rank, got.drawn), (claimed, want.rank, want.seeded_token));
        assert_eq!(got.margin.to_bits(), want.margin.to_bits());
        for (got, want) in [
            (got.logprob, want.logprob),
            (got.entropy, want.entropy_nat),
            (got.surprisal, want.surprisal_nat),
        ] {
            assert!((got - want).abs() <= 1e-6 * want.abs().max(1.0), "{got} against {want}");
        }
    }
}

#[test]
#[cfg_attr(not(feature = "cuda-emulation"), ignore = "needs a CUDA device")]
fn logits_that_are_not_finite_are_counted() {
    let device = device();
    let mut row = logits(1, 64);
    (row[3], row[9], row[60]) = (bf16::NAN, bf16::INFINITY, bf16::NEG_INFINITY);
    let got = answers(&device, &row, &[ask(&Sampling::greedy(), 0, None)])[0];
    assert_eq!(got.not_finite, 3);
}

/// The token that `gumbel-v1` draws among the `top_k` likeliest of `logits`, and of those among the
/// fewest that make up `top_p` of the mass.
fn shortlisted(
    logits: &[f32],
    sampling: &Sampling,
    position: u32,
    top_k: usize,
    top_p: f64,
) -> u32 {
    let mut sorted = logits.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let mass = |logit: f32| f64::from((logit - sorted[0]) / sampling.temperature()).exp();
    let total: f64 = sorted.iter().map(|&logit| mass(logit)).sum();
    let mut sum = 0.0;
    let nucleus = sorted.iter().find(|&&logit| {
        sum += mass(logit);
        sum >= top_p * total
    });
    let least = sorted[top_k - 1].max(*nucleus.unwrap());
    let kept = (0..).zip(logits).filter(|(_, logit)| **logit >= least);
    let score = |(token, logit): (u32, &f32)| (token, sampling.score(*logit, position, token));
    kept.map(score).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0
}

#[test]
#[cfg_attr(not(feature = "cuda-emulation"), ignore = "needs a CUDA device")]
fn a_shortlist_keeps_the_likeliest_tokens() {
    let device = device();
    let vocab = 300;
    let logits = logits(1, vocab);
    let mut restricted = 0;
    for (seed, (top_k, top_p)) in
        (0..).zip([(5, 1.0), (300, 0.3), (40, 0.6), (1, 0.9)].into_iter().cycle().take(16))
    {
        let sampling = Sampling::new(1.5, seed).unwrap();
        let asked = Ask { top_p, top_k, ..ask(&sampling, 2, None) };
        let got = answers(&device, &logits, &[asked])[0];
        let wide = wide(&logits);
        let want = shortlisted(&wide, &sampling, 2, top_k as usize, f64::from(top_p));
        assert_eq!(got.drawn, want, "seed {seed}, top_k {top_k}, top_p {top_p}");
        restricted += usize::from(want != sampling.draw(&wide, 2));
    }
    assert!(restricted > 0, "no shortlist changed a draw");
}
