//! `cargo run --release -p inference --example hostile_files`: broken and hostile files, each opened by
//! a process of its own, and what the refusal cost: milliseconds, and the most memory that the process
//! ever held. Prints a JSON object a file.
#![expect(clippy::print_stdout, reason = "figures are its output")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use inference::{LoadOptions, Model, ModelSource, bench};
use serde_json::json;

fn main() -> Result<()> {
    if let Some(path) = std::env::args_os().nth(1) {
        return open(&PathBuf::from(path));
    }
    let dir = tempfile::tempdir()?;
    for (name, path) in files(dir.path())? {
        let child = Command::new(std::env::current_exe()?).arg(&path).output()?;
        if !child.status.success() {
            bail!("{name}: {}", String::from_utf8_lossy(&child.stderr));
        }
        let cost: serde_json::Value = serde_json::from_slice(&child.stdout)?;
        println!("{}", json!({ "file": name, "cost": cost }));
    }
    Ok(())
}

/// The child: says what one file costs, and fails if it loads.
fn open(path: &Path) -> Result<()> {
    let started = Instant::now();
    let error = match Model::load(&ModelSource::Path(path.to_owned()), LoadOptions::default()) {
        Ok(_) => bail!("it loads"),
        Err(error) => anyhow::Error::from(error),
    };
    let ms = started.elapsed().as_secs_f64() * 1e3;
    println!(
        "{}",
        json!({ "ms": ms, "peak_rss_mb": bench::peak_rss_mb(), "error": format!("{error:#}") })
    );
    Ok(())
}

/// A GGUF header: magic, version, tensors, entries.
fn gguf(tensors: u64, entries: u64) -> Vec<u8> {
    let counts = [tensors.to_le_bytes(), entries.to_le_bytes()].concat();
    [&b"GGUF\x03\0\0\0"[..], &counts].concat()
}

/// A GGUF entry of text.
fn entry(key: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    [text(key), 8_u32.to_le_bytes().to_vec(), text(value)].concat()
}

/// A safetensors file of this header, with so many bytes declared for it.
fn safetensors(declared: u64, header: &str) -> Vec<u8> {
    [&declared.to_le_bytes(), header.as_bytes()].concat()
}

/// Bytes that a sparse file pretends to have: eight gigabytes.
const PRETENDED: u64 = 8 << 30;

/// Where the shipped model lies.
const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tiny");

fn files(dir: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
    let weights = std::fs::read(Path::new(TINY).join("model.safetensors"))?;
    let (string, array) = (gguf(0, 1), [gguf(0, 1), 1_u64.to_le_bytes().to_vec()].concat());
    let huge = r#"{"model.embed_tokens.weight":{"dtype":"F32","shape":[46340,46340],"data_offsets":[0,8589582400]}}"#;
    let plain: [(&str, Vec<u8>); 12] = [
        ("truncated.gguf", gguf(300, 20)),
        ("counts.gguf", gguf(u64::MAX, u64::MAX)),
        ("string.gguf", [string, u64::MAX.to_le_bytes().to_vec()].concat()),
        (
            "array.gguf",
            [array, b"k\x09\0\0\0\x04\0\0\0".to_vec(), (1_u64 << 60).to_le_bytes().to_vec()]
                .concat(),
        ),
        ("architecture.gguf", [gguf(0, 1), entry("general.architecture", "mamba")].concat()),
        ("pickle.pt", b"\x80\x02}q\x00more..".to_vec()),
        ("zip.bin", b"PK\x03\x04rest of zip".to_vec()),
        ("ggml.bin", b"lmgg\x01\0\0\0".to_vec()),
        ("header.safetensors", safetensors(u64::MAX / 2, "{}")),
        ("long-header.safetensors", safetensors(64 << 20, "{}")),
        ("huge.safetensors", safetensors(huge.len() as u64, huge)),
        ("truncated.safetensors", weights[..weights.len() / 2].to_vec()),
    ];
    let mut files = Vec::new();
    for (name, bytes) in plain {
        // Each in a folder with the shipped model's words and shape.
        let folder = dir.join(name.replace('.', "-"));
        std::fs::create_dir(&folder)?;
        for part in ["config.json", "tokenizer.json"] {
            std::fs::copy(Path::new(TINY).join(part), folder.join(part))?;
        }
        let path = folder.join(name);
        std::fs::write(&path, bytes).with_context(|| name.to_owned())?;
        files.push((name, path));
    }
    // The length that these headers declare is there, and costs nobody anything.
    for (name, path) in &files {
        if ["huge.safetensors", "long-header.safetensors"].contains(name) {
            std::fs::File::options().write(true).open(path)?.set_len(PRETENDED)?;
        }
    }
    files.push(("another model's tokenizer", foreign_words(dir)?));
    Ok(files)
}

/// The shipped model with a configuration of fewer words than its tokenizer has.
fn foreign_words(dir: &Path) -> Result<PathBuf> {
    let folder = dir.join("words");
    std::fs::create_dir(&folder)?;
    for part in ["tokenizer.json", "model.safetensors"] {
        std::fs::copy(Path::new(TINY).join(part), folder.join(part))?;
    }
    let config = std::fs::read(Path::new(TINY).join("config.json"))?;
    let mut config: serde_json::Value = serde_json::from_slice(&config)?;
    config["vocab_size"] = 300.into();
    std::fs::write(folder.join("config.json"), config.to_string())?;
    Ok(folder)
}
