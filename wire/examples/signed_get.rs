//! Sends one signed request, for servers in other languages to verify.
//!
//! `signed_get HOST:PORT TARGET RECEIVER_SS58 SCHEME SECRET_URI [BODY]`, for example
//! `signed_get 127.0.0.1:8091 '/generate?stream=false' 5FHneW46… sr25519 //Alice`. With a body it is
//! a POST. Prints what came back, head and all; a server need not sign its answer here.

use std::{
    error::Error,
    fmt::Write as _,
    io::{Read as _, Write as _, stdout},
    net::TcpStream,
    time::Duration,
};

use chain_metadata::Hotkey;
use sp_core::{Pair as _, ed25519, sr25519};
use wire::{
    Signer, UnixNanos,
    auth::{Scheme, sign},
};

/// For each read and write.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, target, receiver, scheme, secret, body @ ..] = arguments.as_slice() else {
        return Err(
            "usage: signed_get HOST:PORT TARGET RECEIVER_SS58 SCHEME SECRET_URI [BODY]".into()
        );
    };
    let receiver: Hotkey = receiver.parse()?;
    let signer = match scheme.parse()? {
        Scheme::Sr25519 => Signer::from(sr25519::Pair::from_string(secret, None)?),
        Scheme::Ed25519 => Signer::from(ed25519::Pair::from_string(secret, None)?),
    };
    let (method, body) = body.first().map_or(("GET", ""), |body| ("POST", body.as_str()));
    let now = UnixNanos::now();
    let (headers, _) = sign(&signer, method, target, body.as_bytes(), Some(&receiver), now);

    let mut request = format!("{method} {target} HTTP/1.1\r\nhost: {address}\r\n");
    for (name, value) in &headers {
        write!(request, "{name}: {}\r\n", value.to_str()?)?;
    }
    write!(request, "connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;

    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    stdout().write_all(&answer)?;
    Ok(())
}
