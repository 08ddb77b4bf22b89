//! Pulses of quicknet itself, for clients that know its key by heart: from a file or from a relay's HTTP.
//!
//! Both hold what drand's own API answers: `{"round": 1000, "signature": "b446…"}`. No pulse is taken whose
//! signature is not quicknet's.

use crate::beacon::{Pulse, identity_of};
use ark_ec::PrimeGroup as _;
use ark_serialize::CanonicalDeserialize as _;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, SystemTime},
};
use timelock::engines::{EngineBLS, drand::TinyBLS381};

/// Quicknet's public key, compressed.
const PUBLIC_KEY: &str = "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c\
     8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc22b0e17e63aaf4bcb\
     5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a";

/// How long a relay may take for a pulse.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that a pulse takes at most, written.
const MAX_ANSWER: usize = 4_096;

type PublicKey = <TinyBLS381 as EngineBLS>::PublicKeyGroup;
type Signature = <TinyBLS381 as EngineBLS>::SignatureGroup;

/// Why pulses cannot be relayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: NoPulse,
    },
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// Why something is no pulse of quicknet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPulse {
    /// It is something else.
    #[error("this is no pulse such as {{\"round\": 1000, \"signature\": \"b446…\"}}")]
    Shape,
    /// The signature is not quicknet's.
    #[error("the signature is not quicknet's of this round")]
    Signature,
}

/// Quicknet's public key, 96 bytes.
pub(crate) fn public_key() -> Vec<u8> {
    const_hex::decode(PUBLIC_KEY).unwrap_or_default()
}

#[derive(serde::Deserialize)]
struct Written {
    round: u64,
    signature: String,
}

/// A pulse, if it is one of quicknet's.
fn pulse(text: &str) -> Result<Pulse, NoPulse> {
    let Written { round, signature } = serde_json::from_str(text).map_err(|_| NoPulse::Shape)?;
    let bytes = const_hex::decode(signature).map_err(|_| NoPulse::Shape)?;
    let signature = Signature::deserialize_compressed(&bytes[..]).map_err(|_| NoPulse::Shape)?;
    let key = PublicKey::deserialize_compressed(&public_key()[..]).map_err(|_| NoPulse::Shape)?;
    let signed = identity_of(round).public::<TinyBLS381>();
    if TinyBLS381::pairing(PublicKey::generator(), signature) == TinyBLS381::pairing(key, signed) {
        Ok((round, sp_io::hashing::sha2_256(&bytes).to_vec(), bytes))
    } else {
        Err(NoPulse::Signature)
    }
}

#[derive(Default)]
struct Stock {
    known: BTreeMap<u64, Pulse>,
    /// Rounds that a relay was asked for and has not answered.
    asked: BTreeSet<u64>,
}

enum Source {
    File { path: PathBuf, seen: Option<SystemTime> },
    Url(mpsc::Sender<u64>),
}

/// Where quicknet's pulses come from.
pub(crate) struct Relay {
    source: Source,
    stock: Arc<Mutex<Stock>>,
}

impl Relay {
    /// From a file, or from an address that has `/public/ROUND` below it.
    pub(crate) fn open(source: &str) -> Result<Self, RelayError> {
        let stock = Arc::<Mutex<Stock>>::default();
        if !source.starts_with("http://") && !source.starts_with("https://") {
            let path = PathBuf::from(source);
            stock.lock().known = read(&path)?;
            let seen = changed(&path);
            return Ok(Self { source: Source::File { path, seen }, stock });
        }
        let (ask, asked) = mpsc::channel();
        let base = source.trim_end_matches('/').to_owned();
        let filled = Arc::clone(&stock);
        let work = move || fetch_all(&base, &asked, &filled);
        thread::Builder::new().name("relay".into()).spawn(work).map_err(RelayError::Thread)?;
        Ok(Self { source: Source::Url(ask), stock })
    }

    /// Of the `due` rounds, ascending, those that are at hand. What is `awaited` from a relay is not passed
    /// over: the chain takes no older round after a younger one.
    pub(crate) fn pulses(&mut self, due: &[u64], awaited: &[u64]) -> Vec<Pulse> {
        let mut stock = match &mut self.source {
            Source::Url(_) => self.stock.lock(),
            Source::File { path, seen } => {
                let now = changed(path);
                if now != *seen {
                    *seen = now;
                    match read(path) {
                        Ok(known) => self.stock.lock().known = known,
                        Err(error) => tracing::warn!(%error, "no new pulses"),
                    }
                }
                self.stock.lock()
            }
        };
        let mut pulses = Vec::new();
        for round in due {
            if let Some(pulse) = stock.known.get(round) {
                pulses.push(pulse.clone());
                continue;
            }
            let Source::Url(ask) = &self.source else { continue };
            if stock.asked.insert(*round) && ask.send(*round).is_err() {
                tracing::warn!("the relay's thread is gone");
            }
            if awaited.contains(round) {
                break;
            }
        }
        if let (Source::Url(_), Some((last, ..))) = (&self.source, pulses.last()) {
            stock.known = stock.known.split_off(last);
        }
        pulses
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// A pulse a line; empty lines are none.
fn read(path: &Path) -> Result<BTreeMap<u64, Pulse>, RelayError> {
    let text = fs::read_to_string(path)
        .map_err(|source| RelayError::Read { path: path.to_owned(), source })?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let line_number = index.saturating_add(1);
            let at = |reason| RelayError::Line { path: path.to_owned(), line: line_number, reason };
            pulse(line).map(|pulse| (pulse.0, pulse)).map_err(at)
        })
        .collect()
}

/// Fetches what is asked for until nobody can ask any more.
fn fetch_all(base: &str, asked: &mpsc::Receiver<u64>, stock: &Mutex<Stock>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let client = reqwest::Client::builder().timeout(TIMEOUT).build();
    let (Ok(runtime), Ok(client)) = (runtime, client) else {
        tracing::error!("no relay without a network client");
        return;
    };
    while let Ok(round) = asked.recv() {
        let fetched = runtime.block_on(fetch(&client, base, round));
        let mut stock = stock.lock();
        // What failed is asked for again with the next block.
        stock.asked.remove(&round);
        match fetched {
            Ok(pulse) if pulse.0 == round => {
                stock.known.insert(round, pulse);
            }
            Ok(_) => tracing::warn!(round, "the relay answered another round"),
            Err(error) => tracing::warn!(round, error, "no pulse"),
        }
    }
}

async fn fetch(client: &reqwest::Client, base: &str, round: u64) -> Result<Pulse, String> {
    let text = |error: reqwest::Error| error.without_url().to_string();
    let answer = client.get(format!("{base}/public/{round}")).send().await.map_err(text)?;
    let mut answer = answer.error_for_status().map_err(text)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(text)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err("the answer is too long for a pulse".to_owned());
        }
    }
    let body = String::from_utf8(body).map_err(|error| error.to_string())?;
    pulse(&body).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    /// A genuine pulse, from the recorded vectors.
    const GENUINE: &str = r#"{"round":1000,"signature":"b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"}"#;

    #[test]
    fn a_genuine_pulse_is_taken_and_no_other() {
        assert_eq!(pulse(GENUINE).unwrap().0, 1_000);
        let other_round = GENUINE.replace("1000", "1001");
        assert_eq!(pulse(&other_round), Err(NoPulse::Signature));
        let flipped = GENUINE.replace("5e39", "5e38");
        assert!(pulse(&flipped).is_err());
        for nonsense in ["", "{}", "[]", r#"{"round":-1,"signature":""}"#] {
            assert_eq!(pulse(nonsense), Err(NoPulse::Shape), "{nonsense}");
        }
    }

    #[test]
    fn a_file_gives_what_is_due_and_what_is_added_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pulses");
        fs::write(&path, "").unwrap();
        let mut relay = Relay::open(path.to_str().unwrap()).unwrap();
        assert_eq!(relay.pulses(&[999, 1_000], &[]), []);
        fs::write(&path, format!("\n{GENUINE}\n")).unwrap();
        // Within the same tick of the file system's clock the change would not be seen.
        let later = fs::File::options().write(true).open(&path).unwrap();
        later.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let rounds: Vec<u64> = relay.pulses(&[999, 1_000], &[]).iter().map(|p| p.0).collect();
        assert_eq!(rounds, [1_000]);
    }

    #[test]
    fn a_bad_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pulses");
        fs::write(&path, format!("{GENUINE}\nnot a pulse\n")).unwrap();
        let refused = Relay::open(path.to_str().unwrap()).err().unwrap().to_string();
        assert!(refused.contains("line 2"), "{refused}");
    }

    #[test]
    fn a_relay_is_asked_and_what_is_awaited_is_waited_for() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/chain/", server.local_addr().unwrap());
        let answering = thread::spawn(move || {
            let (mut socket, _) = server.accept().unwrap();
            let mut request = [0; 1_024];
            let length = socket.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", GENUINE.len());
            socket.write_all((head + GENUINE).as_bytes()).unwrap();
            // Open until it is read.
            (request, socket)
        });
        let mut relay = Relay::open(&url).unwrap();
        assert_eq!(relay.pulses(&[1_000], &[1_000]), []);
        let (request, _socket) = answering.join().unwrap();
        assert!(request.starts_with("GET /chain/public/1000 "), "{request}");
        let known = || relay.stock.lock().known.contains_key(&1_000);
        for _ in 0..1_000 {
            if known() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(relay.pulses(&[1_000], &[1_000]).len(), 1);
    }
}
