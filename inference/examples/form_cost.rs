//! `cargo run --release -p inference --example form_cost -- [MODEL [SEQUENCES]]`: what holding answers to
//! a form costs. The same number of tokens is decoded free, shaped by `top_p`, and held to a JSON schema,
//! one after the other in turns; prints the best tokens a second of each.
#![expect(clippy::print_stdout, reason = "the figures are its output")]

use anyhow::Result;
use inference::{
    Engine, EngineOptions, Form, Job, LoadOptions, Model, ModelSource, Sampling, Shaping,
};

/// A schema that goes on until the tokens are used up.
const SCHEMA: &str = r#"{"type":"array","minItems":1000,"items":{"type":"object",
    "properties":{"name":{"type":"string","maxLength":30},"size":{"type":"integer"},
    "kind":{"enum":["red","green","blue"]}},"required":["name","size","kind"],
    "additionalProperties":false}}"#;

const TOKENS: u32 = 160;
const TURNS: usize = 5;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let source = ModelSource::parse(&args.next().unwrap_or_else(|| "tiny".to_owned()));
    let sequences: u64 = args.next().map_or(Ok(1), |text| text.parse())?;
    let model = Model::load(&source, LoadOptions::default())?;
    let vocab = model.config().vocab;
    let engine = Engine::start(model, EngineOptions::default());
    let cases = [
        ("free", Shaping::default()),
        ("top_p 0.9", Shaping { top_p: 0.9, ..Shaping::default() }),
        ("schema", Shaping { form: Some(Form::JsonSchema(SCHEMA.into())), ..Shaping::default() }),
    ];
    let mut best = [0.0_f64; 3];
    for _ in 0..TURNS {
        for ((_, shaping), best) in cases.iter().zip(&mut best) {
            let jobs = (0..sequences).map(|seed| {
                let sampling = Sampling::new(1.0, seed).unwrap_or_else(|_| Sampling::greedy());
                let ignore_end = shaping.form.is_none();
                let shaping = shaping.clone();
                engine.generate(Job {
                    shaping,
                    ignore_end,
                    ..Job::new("A list:", TOKENS, sampling)
                })
            });
            let (mut tokens, mut seconds) = (0, 0.0_f64);
            for done in futures::future::join_all(jobs).await {
                let done = done?;
                // From the first token on: prompts and the compiling of forms are not decoding.
                let decoding = done.timing.total.saturating_sub(done.timing.first_token);
                seconds = seconds.max(decoding.as_secs_f64());
                tokens += done.token_ids.len() - 1;
            }
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            let rate = tokens as f64 / seconds;
            *best = best.max(rate);
        }
    }
    println!("{}: {vocab} words, {sequences} sequences", source.name());
    for ((name, _), rate) in cases.iter().zip(best) {
        println!("{name:>10}: {rate:8.1} tokens/s, {:+.1} %", (rate / best[0] - 1.0) * 100.0);
    }
    Ok(())
}
