//! What the written model can do, measured through the engine that serves it.

use std::path::Path;

use anyhow::Result;
use inference::{
    Engine, EngineOptions, Job, LoadOptions, Model, ModelSource, NumericClass, Sampling, TokenCheck,
};
use subnet_rules::{
    prf::Prf,
    world::grammar::{Family, Level, grade, open, task},
};

/// Questions of each family and level.
const QUESTIONS: usize = 40;

/// Open answers whose entropy is measured.
const OPEN: u64 = 60;

/// Seed of the questions; the training text uses others.
const HELD_OUT: u64 = 0x5eed_0f4a;

/// Entropy from which a token says anything about the model that drew it, in nats.
const EVIDENCE_NAT: f32 = 0.5;

pub(crate) fn report(dir: &Path) -> Result<()> {
    let load = |class| -> Result<Engine> {
        let options = LoadOptions::default().with_class(class).with_threads(1);
        let model = Model::load(&ModelSource::Path(dir.to_owned()), options)?;
        Ok(Engine::start(model, EngineOptions::default()))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let engine = load(NumericClass::F32)?;
        passes(&engine).await?;
        entropy(&engine, &engine, "itself").await?;
        entropy(&engine, &load(NumericClass::Bf16)?, "bf16").await?;
        entropy(&engine, &load(NumericClass::Q4_0Block32)?, "q4_0-block32").await
    })
}

async fn passes(engine: &Engine) -> Result<()> {
    let mut prf = Prf::from_seed(HELD_OUT);
    for family in Family::ALL {
        print!("{:>9}", family.name());
        for level in Level::all() {
            let mut right = 0;
            for _ in 0..QUESTIONS {
                let task = task(&mut prf, family, level);
                let job = Job::new(task.prompt.as_str(), 32, Sampling::greedy());
                right += usize::from(grade(&task.answer, &engine.generate(job).await?.text));
            }
            print!("  {:>3} %", right * 100 / QUESTIONS);
        }
        println!();
    }
    Ok(())
}

/// Open answers of `writer`, read again by `verifier`.
async fn entropy(verifier: &Engine, writer: &Engine, name: &str) -> Result<()> {
    let mut prf = Prf::from_seed(HELD_OUT).child("open");
    let mut checks: Vec<TokenCheck> = Vec::new();
    for seed in 0..OPEN {
        let prompt = open(&mut prf);
        let sampling = Sampling::new(1.0, seed)?;
        let answer = writer.generate(Job::new(prompt.as_str(), 40, sampling)).await?;
        let prompt = prompt.as_str().into();
        checks.extend(verifier.rescore(&prompt, &answer.token_ids, &sampling).await?);
    }
    let evidence: Vec<_> = checks.iter().filter(|c| c.entropy_nat >= EVIDENCE_NAT).collect();
    let missed = evidence.iter().filter(|check| !check.matches()).count();
    println!(
        "written by {name}: {} tokens, {} of at least {EVIDENCE_NAT} nat, {missed} of them not drawn",
        checks.len(),
        evidence.len(),
    );
    Ok(())
}
