//! Faults on demand: what a client meets when a node far away is ill. `dev_*` methods are never ill, so that
//! a fault can be ended.

use jsonrpsee::{
    MethodResponse,
    core::middleware::{Batch, Notification, RpcServiceT},
    types::{ErrorObjectOwned, Request},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};

/// Longest freeze or lag: an hour is not a fault any more.
const MAX_MS: u64 = 3_600_000;
/// What a refusal says unless asked otherwise.
const TOO_MANY_REQUESTS: (i32, &str) = (-32_005, "Too many requests");

/// What is ill. All of it is replaced at once; an empty one is health.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Illness {
    /// Each answer comes so many milliseconds late.
    pub lag_ms: u64,
    /// Nothing is answered or told for so many milliseconds; connections stay open.
    pub freeze_ms: u64,
    /// So many calls are refused.
    pub refuse: u64,
    /// The code of a refusal.
    pub code: Option<i32>,
    /// The text of a refusal.
    pub message: Option<String>,
    /// All connections are closed, once.
    pub drop: bool,
}

#[derive(Default)]
struct State {
    illness: Illness,
    frozen_until: Option<Instant>,
}

pub(crate) struct Faults {
    state: Mutex<State>,
    /// Counts changes, for those who wait.
    changes: watch::Sender<u64>,
    drops: Notify,
}

impl Default for Faults {
    fn default() -> Self {
        Self { state: Mutex::default(), changes: watch::Sender::new(0), drops: Notify::new() }
    }
}

/// What becomes of a call.
enum Verdict {
    Answered,
    Refused(i32, String),
}

impl Faults {
    /// Falls ill, or gets well.
    ///
    /// # Errors
    /// When a time is longer than an hour.
    pub(crate) fn set(&self, illness: Illness) -> Result<(), String> {
        for (name, ms) in [("lag_ms", illness.lag_ms), ("freeze_ms", illness.freeze_ms)] {
            if ms > MAX_MS {
                return Err(format!("{name} is {ms}: {MAX_MS} at most"));
            }
        }
        let drops = illness.drop;
        let freeze = Duration::from_millis(illness.freeze_ms);
        *self.state.lock() = State {
            frozen_until: (illness.freeze_ms > 0).then(|| Instant::now() + freeze),
            illness,
        };
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
        if drops {
            self.drops.notify_one();
        }
        Ok(())
    }

    /// What is ill now.
    pub(crate) fn illness(&self) -> Illness {
        self.state.lock().illness.clone()
    }

    /// Resolves when all connections shall be closed.
    pub(crate) async fn dropped(&self) {
        self.drops.notified().await;
    }

    /// Resolves when nothing is frozen.
    pub(crate) async fn thawed(&self) {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let Some(until) = self.state.lock().frozen_until else { return };
            if until <= Instant::now() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => return,
                alive = changes.changed() => if alive.is_err() { return },
            }
        }
    }

    async fn admit(&self, method: &str) -> Verdict {
        if method.starts_with("dev_") {
            return Verdict::Answered;
        }
        self.thawed().await;
        let (lag, refusal) = {
            let mut state = self.state.lock();
            let illness = &mut state.illness;
            let refusal = (illness.refuse > 0).then(|| {
                illness.refuse = illness.refuse.saturating_sub(1);
                let (code, message) = TOO_MANY_REQUESTS;
                let message = illness.message.clone().unwrap_or_else(|| message.to_owned());
                (illness.code.unwrap_or(code), message)
            });
            (illness.lag_ms, refusal)
        };
        if lag > 0 {
            tokio::time::sleep(Duration::from_millis(lag)).await;
        }
        refusal.map_or(Verdict::Answered, |(code, message)| Verdict::Refused(code, message))
    }
}

/// Puts every call before the faults.
#[derive(Clone)]
pub(crate) struct FaultyLayer(pub Arc<crate::node::Node>);

impl<S> tower::Layer<S> for FaultyLayer {
    type Service = Faulty<S>;

    fn layer(&self, service: S) -> Faulty<S> {
        Faulty { node: Arc::clone(&self.0), service }
    }
}

#[derive(Clone)]
pub(crate) struct Faulty<S> {
    node: Arc<crate::node::Node>,
    service: S,
}

impl<S> RpcServiceT for Faulty<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (node, service) = (Arc::clone(&self.node), self.service.clone());
        async move {
            match node.faults.admit(request.method_name()).await {
                Verdict::Answered => service.call(request).await,
                Verdict::Refused(code, message) => {
                    let error = ErrorObjectOwned::owned(code, message, None::<()>);
                    MethodResponse::error(request.id().into_owned(), error)
                }
            }
        }
    }

    fn batch<'a>(&self, requests: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (node, service) = (Arc::clone(&self.node), self.service.clone());
        async move {
            node.faults.thawed().await;
            service.batch(requests).await
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.service.clone();
        async move { service.notification(notification).await }
    }
}
