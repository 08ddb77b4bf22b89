//! What the commands print.

use std::{
    fmt::Write as _,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::hint;
use crate::{HubModel, Model, NumericClass, bench::Measured};

pub(super) fn fetched(
    model: &HubModel,
    path: &Path,
    json: bool,
    out: &mut impl Write,
) -> Result<()> {
    if json {
        let object = json!({ "name": model.name, "path": path, "bytes": model.bytes() });
        return print_json(&object, out);
    }
    Ok(writeln!(out, "{}", path.display())?)
}

pub(super) fn catalogue(
    known: &[(&HubModel, Option<PathBuf>)],
    json: bool,
    out: &mut impl Write,
) -> Result<()> {
    if json {
        let entry = |(model, path): &(&HubModel, Option<PathBuf>)| {
            json!({
                "name": model.name,
                "repo": model.repo,
                "revision": model.revision,
                "bytes": model.bytes(),
                "path": path,
            })
        };
        let mut all = vec![json!({ "name": "tiny", "shipped": true })];
        all.extend(known.iter().map(entry));
        return print_json(&all, out);
    }
    writeln!(out, "{:<16} {:>9}  where", "name", "MB")?;
    writeln!(out, "{:<16} {:>9}  shipped inside the program", "tiny", "2")?;
    for (model, path) in known {
        let place = path.as_ref().map_or_else(
            || format!("not here; `model fetch {}` downloads it", model.name),
            |path| path.display().to_string(),
        );
        writeln!(out, "{:<16} {:>9.0}  {place}", model.name, megabytes(model.bytes()))?;
    }
    Ok(())
}

/// What `inspect` says.
#[derive(Serialize)]
struct Inspection<'a> {
    model: &'a str,
    id: String,
    numeric_class: NumericClass,
    file_class: NumericClass,
    architecture: &'static str,
    parameters: usize,
    weight_bits: f64,
    weight_bytes: usize,
    kv_bytes_per_token: usize,
    layers: usize,
    width: usize,
    heads: usize,
    kv_heads: usize,
    ffn: usize,
    vocab: usize,
    context: usize,
    chat_template: bool,
    device: &'a str,
    kernels: &'static str,
    threads: usize,
    notes: &'a [String],
}

pub(super) fn inspection(model: &Model, json: bool, out: &mut impl Write) -> Result<()> {
    let config = model.config();
    let said = Inspection {
        model: model.name(),
        id: model.id().to_string(),
        numeric_class: model.id().class,
        file_class: model.file_class(),
        architecture: config.family.name(),
        parameters: model.parameters(),
        weight_bits: model.weight_bits(),
        weight_bytes: model.weight_bytes(),
        kv_bytes_per_token: model.kv_bytes_per_token(),
        layers: config.layers,
        width: config.width,
        heads: config.heads,
        kv_heads: config.kv_heads,
        ffn: config.ffn,
        vocab: config.vocab,
        context: config.context,
        chat_template: model.tokenizer().has_template(),
        device: model.device(),
        kernels: model.kernels(),
        threads: model.threads(),
        notes: model.notes(),
    };
    if json {
        return print_json(&said, out);
    }
    writeln!(out, "{} is {}", said.model, said.id)?;
    if said.numeric_class != said.file_class {
        writeln!(out, "  the file holds {}: converted on load", said.file_class)?;
    }
    writeln!(
        out,
        "  {}: {} layers of width {}, {} heads over {} of keys, feed-forward {}, {} words",
        said.architecture, said.layers, said.width, said.heads, said.kv_heads, said.ffn, said.vocab
    )?;
    writeln!(
        out,
        "  {} weights at {:.2} bits: {:.1} MB; {:.1} kB of keys and values a token, {} at most",
        said.parameters,
        said.weight_bits,
        megabytes(said.weight_bytes as u64),
        megabytes(said.kv_bytes_per_token as u64) * 1e3,
        said.context
    )?;
    for note in said.notes {
        writeln!(out, "  note: {note}")?;
    }
    let chat = if said.chat_template { "takes chats" } else { "takes plain text only" };
    let Inspection { device, kernels, threads, .. } = said;
    Ok(writeln!(out, "  {chat}; on {device}: {kernels} kernels, {threads} threads")?)
}

pub(super) fn converted(
    path: &Path,
    class: NumericClass,
    bytes: u64,
    json: bool,
    out: &mut impl Write,
) -> Result<()> {
    if json {
        let object = json!({ "path": path, "numeric_class": class, "bytes": bytes });
        return print_json(&object, out);
    }
    Ok(writeln!(out, "{}: {class}, {:.1} MB", path.display(), megabytes(bytes))?)
}

pub(super) fn measured(measured: &Measured, json: bool, out: &mut impl Write) -> Result<()> {
    if json {
        return print_json(measured, out);
    }
    let Measured { model, id, device, kernels, threads, .. } = measured;
    writeln!(out, "{model} ({}) on {device}, {kernels} kernels, {threads} threads", id.short())?;
    writeln!(out, "  prefill    {:>10.1} tok/s", measured.prefill_tok_s)?;
    writeln!(out, "  decode     {:>10.1} tok/s", measured.decode_tok_s)?;
    let jobs = measured.concurrency;
    writeln!(out, "  {jobs:>3} at once {:>9.1} tok/s", measured.aggregate_tok_s)?;
    writeln!(out, "  first token {:>9.1} ms (median)", measured.ttft_ms_p50)?;
    writeln!(
        out,
        "  perplexity {:>10.3} at {:.2} bits a weight",
        measured.perplexity, measured.weight_bits
    )?;
    if let Some(peak) = measured.peak_rss_mb {
        writeln!(out, "  peak memory {peak:>9.1} MB")?;
    }
    Ok(())
}

pub(crate) fn print_json(value: &impl Serialize, out: &mut impl Write) -> Result<()> {
    Ok(writeln!(out, "{}", serde_json::to_string(value)?)?)
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The chain of causes, then what to try.
pub(super) fn failure(error: &anyhow::Error) -> String {
    let mut said = error.to_string();
    let mut text = format!("error: {said}");
    for cause in error.chain().skip(1) {
        let line = cause.to_string();
        // A transparent error says what its cause says.
        if !said.ends_with(&line) {
            write!(text, "\n  caused by: {line}").expect("writing to a String cannot fail");
            said = line;
        }
    }
    if let Some(hint) = hint(error) {
        write!(text, "\nhint: {hint}").expect("writing to a String cannot fail");
    }
    text
}

/// True where the output's reader closed it, as `head` does.
pub(super) fn reader_has_gone(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
