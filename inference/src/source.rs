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

    /// A short name for tables: the catalogue's name, that of a GGUF file without its ending, or that of
    /// the folder.
    pub fn name(&self) -> String {
        match self {
            Self::Tiny => TINY.to_owned(),
            Self::Hub(model) => model.name.to_owned(),
            Self::Random(shape) => shape.name().to_owned(),
            Self::Path(path) => name_of(path),
        }
    }
}

/// A GGUF file is one model and has its name; a `.safetensors` file is part of its folder.
fn name_of(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let is = |ending: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(ending));
    let named = if is("safetensors") { whole.parent() } else { Some(whole.as_path()) };
    let part = if is("gguf") { whole.file_stem() } else { named.and_then(Path::file_name) };
    part.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into())
}

/// The name of [`ModelSource::Tiny`].
const TINY: &str = "tiny";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_the_name_that_people_give_it() {
        for (path, name) in [
            ("/m/Qwen3-0.6B-Instruct", "Qwen3-0.6B-Instruct"),
            ("/m/Qwen3-0.6B-Instruct/", "Qwen3-0.6B-Instruct"),
            ("/m/Llama-3.2-1B/model.safetensors", "Llama-3.2-1B"),
            ("/m/smollm2-135m-q8_0.gguf", "smollm2-135m-q8_0"),
            ("/m/v1.5.GGUF", "v1.5"),
        ] {
            assert_eq!(ModelSource::Path(path.into()).name(), name);
        }
    }
}
