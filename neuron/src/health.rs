//! `/metrics`, `/healthz` and `/readyz` on 127.0.0.1: what a program says about itself.
//!
//! Label values are `&'static str`, so the number of series is bounded by the code: no hotkey and no
//! address can become a label.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
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

use crate::Shutdown;
use crate::settings::{Kind, Setting};

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

/// Names of what both programs say.
pub mod names {
    /// Seconds since the newest finalized block came.
    pub const HEAD_AGE: &str = "ganglion_chain_head_age_seconds";
    /// Whether there has been no new finalized block for too long.
    pub const STALLED: &str = "ganglion_chain_stalled";
    /// Place in the list of the endpoint in use; 0 is the first.
    pub const ENDPOINT: &str = "ganglion_chain_endpoint_index";
    /// Seconds by which this machine's clock is ahead of the chain's newest block.
    pub const CLOCK_OFFSET: &str = "clock_offset_seconds";
}

/// One label of a series.
pub type Label = (&'static str, &'static str);

/// Counters and gauges in Prometheus' text format.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Inner>);

/// Writes counters that a part keeps itself.
type Source = Box<dyn Fn(&mut String) + Send + Sync>;

#[derive(Default)]
struct Inner {
    series: Mutex<BTreeMap<Key, Series>>,
    others: Mutex<Vec<Source>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("series", &self.series).finish_non_exhaustive()
    }
}

/// A series: its name and its labels.
type Key = (&'static str, Vec<Label>);

#[derive(Debug, Clone, Copy)]
enum Series {
    Counter(u64),
    Gauge(f64),
}

impl Metrics {
    /// Adds `by` to the counter `name`.
    pub fn count(&self, name: &'static str, labels: &[Label], by: u64) {
        let mut series = self.0.series.lock();
        let entry = series.entry((name, labels.to_vec())).or_insert(Series::Counter(0));
        if let Series::Counter(total) = entry {
            *total = total.saturating_add(by);
        }
    }

    /// Sets the gauge `name`.
    pub fn set(&self, name: &'static str, labels: &[Label], value: f64) {
        self.0.series.lock().insert((name, labels.to_vec()), Series::Gauge(value));
    }

    /// The value of a counter; 0 when it was never counted.
    pub fn counted(&self, name: &'static str, labels: &[Label]) -> u64 {
        match self.0.series.lock().get(&(name, labels.to_vec())) {
            Some(Series::Counter(total)) => *total,
            _ => 0,
        }
    }

    /// Appends what `other` writes, in the same format, to every rendering: for parts that keep
    /// counters of their own.
    pub fn append(&self, other: impl Fn(&mut String) + Send + Sync + 'static) {
        self.0.others.lock().push(Box::new(other));
    }

    /// Every series, in Prometheus' text format 0.0.4.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let mut family = "";
        for ((name, labels), series) in &*self.0.series.lock() {
            if *name != family {
                let kind = match series {
                    Series::Counter(_) => "counter",
                    Series::Gauge(_) => "gauge",
                };
                line(&mut text, &format!("# TYPE {name} {kind}"));
                family = name;
            }
            let labels = match labels.as_slice() {
                [] => String::new(),
                some => {
                    let pairs: Vec<_> = some.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect();
                    format!("{{{}}}", pairs.join(","))
                }
            };
            line(
                &mut text,
                &match series {
                    Series::Counter(total) => format!("{name}{labels} {total}"),
                    Series::Gauge(value) => format!("{name}{labels} {value}"),
                },
            );
        }
        for other in &*self.0.others.lock() {
            other(&mut text);
        }
        text
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a String cannot fail");
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
                    ([("content-type", "text/plain; version=0.0.4")], health.metrics.render())
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
    fn metrics_are_rendered_by_family_with_their_labels() {
        let metrics = Metrics::default();
        metrics.count("requests_total", &[("code", "200")], 2);
        metrics.count("requests_total", &[("code", "429")], 1);
        metrics.set("metagraph_age_blocks", &[], 3.0);
        assert_eq!(
            metrics.render(),
            "# TYPE metagraph_age_blocks gauge\nmetagraph_age_blocks 3\n\
             # TYPE requests_total counter\nrequests_total{code=\"200\"} 2\n\
             requests_total{code=\"429\"} 1\n"
        );
    }

    #[test]
    fn a_part_with_counters_of_its_own_is_rendered_after_the_others() {
        let metrics = Metrics::default();
        metrics.append(|text| text.push_str("own_total 7\n"));
        metrics.count("requests_total", &[], 1);
        assert_eq!(
            metrics.render(),
            "# TYPE requests_total counter\nrequests_total 1\nown_total 7\n"
        );
    }

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
