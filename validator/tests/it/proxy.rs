//! A proxy between a program and its node that does what nodes, providers and networks do. The miner's
//! tests use it too.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each of its two users leaves something out"
)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use soketto::handshake::{Client, Server, ServerResponse, server::Response};
use soketto::{Receiver, Sender};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex as Shared;
use tokio::task::JoinSet;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

type Socket = Compat<TcpStream>;
type Out = Arc<Shared<Sender<Socket>>>;

/// What the proxy does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manners {
    /// Takes connections and bytes, and passes nothing on: a socket that is half dead.
    pub(crate) frozen: bool,
    /// Methods (by the beginning of their names) that are answered with this error.
    pub(crate) errors: BTreeMap<&'static str, (i32, &'static str)>,
    /// Extrinsics are taken with a friendly answer, and go nowhere: dropped by the pool.
    pub(crate) drops_extrinsics: bool,
    /// After the next extrinsic is passed on, nothing is.
    pub(crate) freezes_after_extrinsic: bool,
    /// The newest block that the node admits to know.
    pub(crate) pinned: Option<Pinned>,
}

/// A block in which time stands still.
#[derive(Debug, Clone)]
pub(crate) struct Pinned {
    pub(crate) hash: String,
    pub(crate) header: Value,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    manners: Arc<Mutex<Manners>>,
    /// Extrinsics that came by.
    extrinsics: Arc<Mutex<u32>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn before(node: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let manners = Arc::new(Mutex::new(Manners::default()));
        let extrinsics = Arc::new(Mutex::new(0));
        let mut tasks = JoinSet::new();
        let wire =
            Wire { node, manners: Arc::clone(&manners), extrinsics: Arc::clone(&extrinsics) };
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let wire = wire.clone();
                connections.spawn(async move {
                    // A connection that breaks is what this is for.
                    wire.carry(near).await.ok();
                });
            }
        });
        Self { address, manners, extrinsics, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.manners.lock());
    }

    pub(crate) fn extrinsics(&self) -> u32 {
        *self.extrinsics.lock()
    }

    /// Waits until another extrinsic comes by.
    pub(crate) async fn next_extrinsic(&self) {
        let before = self.extrinsics();
        while self.extrinsics() == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[derive(Clone)]
struct Wire {
    node: u16,
    manners: Arc<Mutex<Manners>>,
    extrinsics: Arc<Mutex<u32>>,
}

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

impl Wire {
    async fn carry(&self, near: TcpStream) -> Outcome {
        self.thaw().await;
        // Small frames must not wait for one another.
        near.set_nodelay(true)?;
        let mut server = Server::new(near.compat());
        let key = server.receive_request().await?.key();
        server.send_response(&Response::Accept { key, protocol: None }).await?;
        let (near_out, near_in) = server.into_builder().finish();
        let host = format!("127.0.0.1:{}", self.node);
        let far = TcpStream::connect(("127.0.0.1", self.node)).await?;
        far.set_nodelay(true)?;
        let mut client = Client::new(far.compat(), &host, "/");
        let ServerResponse::Accepted { .. } = client.handshake().await? else {
            return Err("no handshake".into());
        };
        let (far_out, far_in) = client.into_builder().finish();
        let (near_out, far_out) = (Arc::new(Shared::new(near_out)), Arc::new(Shared::new(far_out)));
        let back = Arc::clone(&near_out);
        tokio::select! {
            there = self.there(near_in, far_out, near_out) => there,
            back = self.back(far_in, back) => back,
        }
    }

    /// While it is frozen, nothing moves.
    async fn thaw(&self) {
        while self.manners.lock().frozen {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn there(&self, mut from: Receiver<Socket>, to: Out, answers: Out) -> Outcome {
        loop {
            let mut text = Vec::new();
            from.receive_data(&mut text).await?;
            self.thaw().await;
            let request: Value = serde_json::from_slice(&text)?;
            let method = request["method"].as_str().unwrap_or_default().to_owned();
            let is_extrinsic = method.starts_with("author_submit");
            if is_extrinsic {
                *self.extrinsics.lock() += 1;
            }
            if let Some(answer) = self.own_answer(&request, &method) {
                say(&answers, &answer.to_string()).await?;
                continue;
            }
            say(&to, std::str::from_utf8(&text)?).await?;
            let mut manners = self.manners.lock();
            if is_extrinsic && std::mem::take(&mut manners.freezes_after_extrinsic) {
                manners.frozen = true;
            }
        }
    }

    async fn back(&self, mut from: Receiver<Socket>, to: Out) -> Outcome {
        loop {
            let mut text = Vec::new();
            from.receive_data(&mut text).await?;
            self.thaw().await;
            let message: Value = serde_json::from_slice(&text)?;
            let is_head = matches!(
                message["method"].as_str(),
                Some("chain_finalizedHead" | "chain_newHead" | "chain_allHead")
            );
            if !(is_head && self.manners.lock().pinned.is_some()) {
                say(&to, std::str::from_utf8(&text)?).await?;
            }
        }
    }

    /// What the proxy answers itself.
    fn own_answer(&self, request: &Value, method: &str) -> Option<Value> {
        let manners = self.manners.lock();
        let id = &request["id"];
        let result = |result: Value| json!({"jsonrpc": "2.0", "id": id, "result": result});
        let beginning = |(beginning, _): &(&&str, _)| method.starts_with(**beginning);
        if let Some((_, (code, message))) = manners.errors.iter().find(beginning) {
            let error = json!({"code": code, "message": message});
            return Some(json!({"jsonrpc": "2.0", "id": id, "error": error}));
        }
        if manners.drops_extrinsics && method.starts_with("author_submit") {
            return Some(result(json!(format!("0x{}", "11".repeat(32)))));
        }
        let pinned = manners.pinned.as_ref()?;
        let names_none = request["params"]
            .as_array()
            .is_none_or(|params| params.first().is_none_or(Value::is_null));
        match method {
            "chain_getFinalizedHead" => Some(result(json!(pinned.hash))),
            "chain_getHeader" if names_none => Some(result(pinned.header.clone())),
            "chain_getBlockHash" if names_none => Some(result(json!(pinned.hash))),
            _ => None,
        }
    }
}

async fn say(to: &Out, text: &str) -> Outcome {
    let mut to = to.lock().await;
    to.send_text(text).await?;
    to.flush().await?;
    Ok(())
}
