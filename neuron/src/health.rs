//! `/metrics`, `/healthz` and `/readyz` on 127.0.0.1: what a program says about itself.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::settings::{Kind, Setting};
use crate::{Metrics, Shutdown};

/// `[health]`: where the program says how it fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthSettings {
    /// Whether to serve `/metrics`, `/healthz` and `/readyz`.
    pub enabled: bool,
    /// Port on 127.0.0.1; 0 takes any free one.
    pub port: u16,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self { enabled: true, port: 9100 }
    }
}

impl HealthSettings {
    /// The lines of a program's table for this section.
    pub fn table() -> [Setting; 2] {
        [
            Setting {
                key: "health.enabled",
                flag: "health",
                short: None,
                aliases: &[],
                env: &[],
                kind: Kind::Switch,
                help: "Serve /metrics, /healthz and /readyz",
            },
            Setting {
                key: "health.port",
                flag: "health-port",
                short: None,
                aliases: &["metrics-port"],
                env: &[],
                kind: Kind::Integer,
                help: "Port of them on 127.0.0.1; 0 takes any free one",
            },
        ]
    }
}

/// Why a program is not ready, by the part that says so. Ready when no part objects.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, String>>>);

/// One part's objection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Objection {
    /// The part: `chain`, `registration`, `weights`.
    pub part: &'static str,
    /// What is wrong, for a person.
    pub why: String,
}

impl Readiness {
    /// `part` objects.
    pub fn object(&self, part: &'static str, why: impl Into<String>) {
        self.0.lock().insert(part, why.into());
    }

    /// `part` objects; whether that is news: it did not before, or for another reason.
    pub fn object_anew(&self, part: &'static str, why: &str) -> bool {
        let before = self.0.lock().insert(part, why.to_owned());
        before.is_none_or(|before| before != why)
    }

    /// `part` no longer objects.
    pub fn clear(&self, part: &'static str) {
        self.0.lock().remove(part);
    }

    /// Every objection; empty means ready.
    pub fn objections(&self) -> Vec<Objection> {
        let parts = self.0.lock();
        parts.iter().map(|(part, why)| Objection { part, why: why.clone() }).collect()
    }
}

/// What a program exposes about itself.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Counters and gauges.
    pub metrics: Metrics,
    /// Objections to being ready.
    pub readiness: Readiness,
}

/// Why the health endpoint cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve metrics and health on {address}")]
pub struct HealthError {
    address: SocketAddr,
    source: std::io::Error,
}

impl Health {
    /// Listens on `127.0.0.1:port` (0 picks a free port) and serves until `shutdown`.
    ///
    /// Returns the bound address and the future that serves; nothing is answered until it is polled.
    pub async fn listen(
        &self,
        port: u16,
        shutdown: Shutdown,
    ) -> Result<(SocketAddr, impl Future<Output = ()> + Send + use<>), HealthError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let failed = |source| HealthError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let router = self.router();
        let serve = async move {
            let stopped = shutdown.cancelled_owned();
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await
            {
                tracing::error!(%error, "the health endpoint stopped");
            }
        };
        Ok((bound, serve))
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route(
                "/metrics",
                get(|State(health): State<Self>| async move {
                    ([("content-type", Metrics::CONTENT_TYPE)], health.metrics.render())
                }),
            )
            .with_state(self.clone())
    }
}

#[derive(Serialize)]
struct ReadyReport {
    ready: bool,
    reasons: Vec<Objection>,
}

async fn ready(State(health): State<Health>) -> Response {
    let reasons = health.readiness.objections();
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ReadyReport { ready, reasons })).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_ready_when_its_last_objection_is_cleared() {
        let readiness = Readiness::default();
        readiness.object("chain", "no head for 40 s");
        assert_eq!(readiness.objections()[0].part, "chain");
        readiness.clear("chain");
        assert!(readiness.objections().is_empty());
    }

    #[tokio::test]
    async fn readyz_gives_every_reason_over_the_socket() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let health = Health::default();
        health.readiness.object("registration", "hotkey is not registered");
        let stop = Shutdown::new();
        let (address, serve) = health.listen(0, stop.clone()).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(serve);
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        socket
            .write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"));
        assert!(answer.ends_with(
            r#"{"ready":false,"reasons":[{"part":"registration","why":"hotkey is not registered"}]}"#
        ));
        stop.cancel();
        tasks.join_next().await.unwrap().unwrap();
    }
}
