//! A rule as a folder: `rule.toml`, `README.md`, and `rule.star` where the rule has code of its own.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::manifest::{Code, MANIFEST_MAX, Manifest, ManifestError, RuleName};
use crate::native::Native;
use crate::rules::SHIPPED;

/// The manifest in a rule's folder.
pub const MANIFEST: &str = "rule.toml";
/// The rule's own code, where it has some.
pub const SOURCE: &str = "rule.star";
/// The owner's [`Signature`](crate::publication::Signature), where the rule is published.
pub const SIGNATURE: &str = "rule.sig";
/// What else may lie in a rule's folder, and is no part of its digest.
pub const BESIDE: [&str; 3] = ["README.md", CASES, CAST];
/// Programs of the actors it is played against.
const CAST: &str = "cast.star";
/// Golden cases.
const CASES: &str = "cases.json";
/// Longest `rule.star` in bytes: some ten thousand lines.
pub const SOURCE_MAX: usize = 512 * 1024;

/// A rule that ships in this program: its name, its files, and its code where it is written in Rust.
#[derive(Debug)]
pub(crate) struct Shipped {
    pub(crate) name: &'static str,
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// One or none.
    pub(crate) native: &'static [Native],
}

impl Shipped {
    fn find(name: &str) -> Result<&'static Self, PackageError> {
        SHIPPED.iter().find(|shipped| shipped.name == name).ok_or_else(|| PackageError::Unknown {
            name: name.to_owned(),
            shipped: Package::names().collect::<Vec<_>>().join(", "),
        })
    }

    fn file(&self, name: &str) -> Option<&'static str> {
        self.files.iter().find(|(file, _)| *file == name).map(|(_, text)| *text)
    }
}

/// A rule's files, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Package {
    /// `rule.toml`.
    pub manifest: Manifest,
    /// `rule.star`, for rules with code of their own.
    pub source: Option<String>,
}

/// What lies beside a rule and is no part of it: what it is tried with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trials {
    /// `cast.star`: the programs of the actors that the arena plays it against.
    pub cast: Option<String>,
    /// `cases.json`: golden cases.
    pub cases: Option<String>,
}

/// Why a folder is no rule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder could not be made.
    #[error("cannot write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is a link or no plain file: a rule must hold its own bytes.
    #[error("{path} is not a plain file")]
    NotPlain {
        /// Which.
        path: PathBuf,
    },
    /// A file is too long.
    #[error("{path} has more than {most} bytes")]
    TooLong {
        /// Which.
        path: PathBuf,
        /// The most allowed.
        most: usize,
    },
    /// `rule.toml` is no manifest.
    #[error("{path}")]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<ManifestError>,
    },
    /// Neither a folder nor a shipped rule.
    #[error("`{name}` is neither a folder nor one of the shipped rules: {shipped}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names of the shipped ones.
        shipped: String,
    },
}

impl Package {
    /// Names of the shipped rules.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|shipped| shipped.name)
    }

    /// The rule in a folder, or the shipped rule of that name where there is no such folder.
    pub fn find(name: &str) -> Result<Self, PackageError> {
        let folder = Path::new(name);
        if folder.is_dir() {
            return Self::open(folder);
        }
        Self::shipped(name)
    }

    /// The rule of that name that ships in this program, whatever folders there are.
    pub fn shipped(name: &str) -> Result<Self, PackageError> {
        let shipped = Shipped::find(name)?;
        let text = shipped.file(MANIFEST).unwrap_or_default();
        let source = shipped.file(SOURCE).map(str::to_owned);
        Ok(Self { manifest: parse(text, Path::new(name))?, source })
    }

    /// What the rule of that name is tried with.
    pub fn trials(name: &str) -> Result<Trials, PackageError> {
        let folder = Path::new(name);
        if !folder.is_dir() {
            return Self::shipped_trials(name);
        }
        let file = |file| {
            let path = folder.join(file);
            // What is absent may be; what cannot be read is an error.
            fs::symlink_metadata(&path).ok().map(|_| read(&path, SOURCE_MAX)).transpose()
        };
        Ok(Trials { cast: file(CAST)?, cases: file(CASES)? })
    }

    /// What the shipped rule of that name is tried with.
    pub fn shipped_trials(name: &str) -> Result<Trials, PackageError> {
        let shipped = Shipped::find(name)?;
        let file = |file| shipped.file(file).map(str::to_owned);
        Ok(Trials { cast: file(CAST), cases: file(CASES) })
    }

    /// Writes a new folder `name` with the files of a shipped rule, under the new name.
    pub fn scaffold(name: &RuleName, from: &str, parent: &Path) -> Result<PathBuf, PackageError> {
        let shipped = Shipped::find(from)?;
        let folder = parent.join(name.as_str());
        let failed = |source| PackageError::Write { path: folder.clone(), source };
        fs::create_dir(&folder).map_err(failed)?;
        let renamed = |text: &str| {
            text.replacen(&format!("name = \"{from}\""), &format!("name = \"{name}\""), 1)
        };
        for (file, text) in shipped.files {
            let text = if *file == MANIFEST { renamed(text) } else { (*text).to_owned() };
            fs::write(folder.join(file), text).map_err(failed)?;
        }
        Ok(folder)
    }

    /// The rule in a folder.
    pub fn open(folder: &Path) -> Result<Self, PackageError> {
        let path = folder.join(MANIFEST);
        let mut package = Self::of_manifest(&read(&path, MANIFEST_MAX)?, &path)?;
        if package.has_source() {
            package.source = Some(read(&folder.join(SOURCE), SOURCE_MAX)?);
        }
        Ok(package)
    }

    /// The rule of a `rule.toml` read from `path`, its source still to be read where it
    /// [has one](Self::has_source).
    pub fn of_manifest(text: &str, path: &Path) -> Result<Self, PackageError> {
        Ok(Self { manifest: parse(text, path)?, source: None })
    }

    /// Whether the rule has code of its own.
    pub fn has_source(&self) -> bool {
        matches!(self.manifest.code, Code::Starlark)
    }

    /// What validators adopt a rule by: manifest and source, without comments in the manifest and
    /// without the README; of a composition also the composed rules.
    pub fn digest(&self) -> Digest {
        if let Code::Compose(parts) = &self.manifest.code {
            // A name that does not ship is refused by `check`; it has no digest to add.
            let shipped = |rule: &RuleName| Self::shipped(rule.as_str()).ok();
            let parts: Vec<_> = parts.values().filter_map(shipped).collect();
            let digests: Vec<_> = parts.iter().map(|part| part.manifest.digest().0).collect();
            let canonical = self.manifest.canonical();
            let all = std::iter::once(canonical.as_bytes());
            let all: Vec<_> = all.chain(digests.iter().map(<[u8; 32]>::as_slice)).collect();
            return Digest::of("ganglion/rule/1", &all);
        }
        match &self.source {
            None => self.manifest.digest(),
            Some(source) => {
                let canonical = self.manifest.canonical();
                Digest::of("ganglion/rule/1", &[canonical.as_bytes(), source.as_bytes()])
            }
        }
    }
}

fn parse(text: &str, path: &Path) -> Result<Manifest, PackageError> {
    Manifest::parse(text).map_err(|source| PackageError::Manifest {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

/// A plain file of at most `most` bytes of text.
pub fn read(path: &Path, most: usize) -> Result<String, PackageError> {
    let failed = |source| PackageError::Read { path: path.to_owned(), source };
    if !fs::symlink_metadata(path).map_err(failed)?.is_file() {
        return Err(PackageError::NotPlain { path: path.to_owned() });
    }
    let mut text = String::new();
    let limit = most as u64 + 1;
    File::open(path).map_err(failed)?.take(limit).read_to_string(&mut text).map_err(failed)?;
    if text.len() > most {
        return Err(PackageError::TooLong { path: path.to_owned(), most });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linked_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("rule.toml")).unwrap();
        assert!(matches!(Package::open(folder.path()), Err(PackageError::NotPlain { .. })));
    }

    #[test]
    fn a_file_over_the_limit_is_refused_without_reading_it_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rule.toml");
        File::create(&path).unwrap().set_len(100 * 1024 * 1024).unwrap();
        assert!(matches!(Package::open(folder.path()), Err(PackageError::TooLong { .. })));
    }

    #[test]
    fn an_unknown_name_lists_the_shipped_rules() {
        let error = Package::find("no-such-rule").unwrap_err();
        assert!(error.to_string().contains("serve"), "{error}");
    }

    #[test]
    fn a_scaffold_is_a_valid_rule_of_its_own_name() {
        let parent = tempfile::tempdir().unwrap();
        let name = RuleName::try_from("mine".to_owned()).unwrap();
        let folder = Package::scaffold(&name, "serve", parent.path()).unwrap();
        assert_eq!(Package::open(&folder).unwrap().manifest.name, name);
        assert!(Package::scaffold(&name, "serve", parent.path()).is_err(), "it exists");
    }

    #[test]
    fn the_source_is_part_of_the_digest() {
        let mut package = Package::find("serve").unwrap();
        let without = package.digest();
        package.source = Some("def draw(): pass".to_owned());
        assert_ne!(package.digest(), without);
    }
}
