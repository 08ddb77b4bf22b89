//! Trains the small model that ships with the suite, on the grammar world of the `serve` rule.
//!
//! ```text
//! RAYON_NUM_THREADS=1 cargo run --release -p inference --example train_tiny -- \
//!     --out models/tiny --seed 1 --steps 4000 --until 2000
//! ```
//!
//! Writes `tokenizer.json`, `config.json` and `model.safetensors` (bf16), then loads them as any
//! other model and reports what it learnt: the share of right answers by family and level, and how
//! much entropy its open answers carry.
#![expect(clippy::print_stdout, reason = "figures are its output")]

mod data;
mod net;
mod report;

use std::{path::PathBuf, time::Instant};

use anyhow::{Context, Result};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use clap::Parser;

/// Trains the tiny model.
#[derive(Debug, Parser)]
struct Args {
    /// Folder to write to.
    #[arg(long)]
    out: PathBuf,
    /// Seed of the text and of the initial weights.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Steps of the learning-rate schedule.
    #[arg(long, default_value_t = 4000)]
    steps: usize,
    /// Stop after so many of them: a model that has learnt all of it ranks no miners.
    #[arg(long, default_value_t = 2000)]
    until: usize,
    /// Only report on the model in `--out`.
    #[arg(long)]
    report: bool,
}

/// Documents in a step.
const BATCH: usize = 64;

/// Peak learning rate; reached after [`WARMUP`] steps, then a cosine down to a twentieth.
const PEAK_RATE: f64 = 3e-3;
const WARMUP: usize = 100;

/// Steps between reports and checkpoints.
const REPORT_EVERY: usize = 250;

fn main() -> Result<()> {
    let args = Args::parse();
    if !args.report {
        train(&args)?;
    }
    report::report(&args.out)
}

fn train(args: &Args) -> Result<()> {
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let mut text = data::Text::new(args.seed, &args.out)?;
    let net = net::Net::new(args.seed, text.words())?;
    net.write_config(&args.out)?;
    let mut optimizer = AdamW::new(
        net.parameters(),
        ParamsAdamW { lr: 0.0, beta2: 0.98, weight_decay: 0.01, ..ParamsAdamW::default() },
    )?;
    let started = Instant::now();
    let mut smooth = None;
    for step in 0..args.until.min(args.steps) {
        optimizer.set_learning_rate(rate(step, args.steps));
        let loss = net.loss(&text.batch(BATCH)?)?;
        optimizer.backward_step(&loss)?;
        let loss = loss.to_scalar::<f32>()?;
        let mean = smooth.map_or(loss, |mean: f32| mean + 0.02 * (loss - mean));
        smooth = Some(mean);
        if step % REPORT_EVERY == REPORT_EVERY - 1 {
            net.save(&args.out)?;
            println!(
                "step {:>5}  loss {mean:.3}  {:>5.0} s",
                step + 1,
                started.elapsed().as_secs_f32()
            );
        }
    }
    net.save(&args.out)
}

#[expect(clippy::cast_precision_loss, reason = "step counts are small")]
fn rate(step: usize, steps: usize) -> f64 {
    let warm = ((step + 1) as f64 / WARMUP as f64).min(1.0);
    let progress = step as f64 / steps as f64;
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
    PEAK_RATE * warm * (0.05 + 0.95 * cosine)
}
