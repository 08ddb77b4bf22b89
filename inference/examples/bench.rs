//! `cargo run --release -p inference --example bench -- MODEL CLASS THREADS [PROMPT DECODE CONCURRENCY]`:
//! the figures of one model as JSON.
#![expect(clippy::print_stdout, reason = "figures are its output")]

use std::sync::Arc;

use anyhow::Result;
use inference::{LoadOptions, Model, ModelSource, bench};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: usize| -> Result<usize> {
        Ok(args.get(index).map(|text| text.parse()).transpose()?.unwrap_or(default))
    };
    let source = ModelSource::parse(args.first().map_or("tiny", String::as_str));
    let mut options = LoadOptions::default().with_threads(number(2, 1)?);
    if let Some(class) = args.get(1).filter(|class| *class != "native") {
        options = options.with_class(class.parse()?);
    }
    let model = Arc::new(Model::load(&source, options)?);
    let work = bench::Workload {
        prompt: number(3, 128)?,
        decode: number(4, 64)?,
        concurrency: number(5, 8)?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let measured = runtime.block_on(bench::measure(model, work))?;
    println!("{}", serde_json::to_string_pretty(&measured)?);
    Ok(())
}
