//! Where a model comes from.

use std::path::{Path, PathBuf};

use crate::load::RandomShape;

/// A model on the Hugging Face hub, pinned to one revision and one file digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubModel {
    /// Name on our command line.
    pub name: &'static str,
    /// `owner/repository`.
    pub repo: &'static str,
    /// Branch, tag or commit of the repository; the files' digests pin what is in it.
    pub revision: &'static str,
    /// Files to fetch, each with its SHA-256 in hex.
    pub files: &'static [HubFile],
}

impl HubModel {
    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// One pinned file of a [`HubModel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubFile {
    /// Path inside the repository.
    pub path: &'static str,
    /// SHA-256 of its bytes, in hex.
    pub sha256: &'static str,
    /// Its length; no more is read.
    pub bytes: u64,
}

/// Where the weights, the tokenizer and the configuration come from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelSource {
    /// The small model that ships inside this crate.
    Tiny,
    /// A Hugging Face directory, a `.safetensors` file inside one, or a `.gguf` file.
    Path(PathBuf),
    /// A pinned model of the hub.
    Hub(HubModel),
    /// Random weights of a known shape, to measure with.
    Random(RandomShape),
}

impl ModelSource {
    /// Reads a `--model` argument: `tiny`, a name of [`crate::hub::CATALOGUE`], a [`RandomShape`], or
    /// a path.
    ///
    /// A word that is neither a known name nor an existing path is taken as a path, so that the
    /// error names the file that is missing.
    pub fn parse(text: &str) -> Self {
        if text == TINY {
            return Self::Tiny;
        }
        if let Some(shape) = RandomShape::ALL.into_iter().find(|shape| shape.name() == text) {
            return Self::Random(shape);
        }
        match crate::hub::CATALOGUE.iter().find(|model| model.name == text) {
            Some(model) if !Path::new(text).exists() => Self::Hub(*model),
            _ => Self::Path(PathBuf::from(text)),
        }
    }

    /// A short name for tables: the catalogue's name, the folder's, or the file's without its kind.
    pub fn name(&self) -> String {
        match self {
            Self::Tiny => TINY.to_owned(),
            Self::Hub(model) => model.name.to_owned(),
            Self::Random(shape) => shape.name().to_owned(),
            Self::Path(path) => file_name(path),
        }
    }
}

/// Dots are part of a model's name: `Qwen3-0.6B-Instruct`.
fn file_name(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let Some(name) = path.file_name().or_else(|| whole.file_name()) else {
        return path.display().to_string();
    };
    let name = name.to_string_lossy();
    let kinds = [".gguf", ".safetensors"];
    kinds.into_iter().find_map(|kind| name.strip_suffix(kind)).unwrap_or(&name).to_owned()
}

/// The name of [`ModelSource::Tiny`].
const TINY: &str = "tiny";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_keeps_its_dots() {
        for (path, name) in [
            ("/m/Qwen3-0.6B-Instruct", "Qwen3-0.6B-Instruct"),
            ("/m/Qwen3-0.6B-Instruct/", "Qwen3-0.6B-Instruct"),
            ("SmolLM2.Q4_1.gguf", "SmolLM2.Q4_1"),
            ("/m/x/model.safetensors", "model"),
        ] {
            assert_eq!(ModelSource::Path(PathBuf::from(path)).name(), name);
        }
    }
}
