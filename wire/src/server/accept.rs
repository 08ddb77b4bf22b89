//! Takes connections, as many as allowed, and ends them in order.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{
    Limits,
    seats::{Seat, Seats},
    stall::StallGuard,
};
use crate::metrics::Counters;

/// Pause after the system refused a connection (out of file descriptors, say), so that the loop
/// does not spin while others close theirs.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Where a request came from; in the request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because they outlasted the drain time.
    pub cut: usize,
}

/// Serves `router` over HTTP/1.1 until `shutdown`; then takes no more connections, lets requests
/// under way end within `limits.drain_time`, and cuts the rest. Dropping the future cuts all.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    counters: Arc<Counters>,
    shutdown: CancellationToken,
) -> Drained {
    let seats = Seats::new(limits, counters);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => if let Some(seat) = seats.take(peer.ip()) {
                    connections.spawn(connection(
                        stream, peer, router.clone(), limits, shutdown.clone(), seat,
                    ));
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    drain(connections, limits.drain_time).await
}

async fn drain(mut connections: JoinSet<()>, time: Duration) -> Drained {
    let all = async { while connections.join_next().await.is_some() {} };
    // Whether time ran out shows in what is left.
    timeout(time, all).await.unwrap_or_default();
    let cut = connections.len();
    connections.shutdown().await;
    Drained { cut }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
    seat: Seat,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let standing = seat.standing.clone();
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        request.extensions_mut().insert(standing.clone());
        let router = router.clone();
        async move { Ok::<_, Infallible>(answer(router, request.map(Body::new)).await) }
    });
    let io = TokioIo::new(StallGuard::new(stream, limits.write_stall));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes.max(MIN_BUFFER))
        .serve_connection(io, service);
    let mut served = std::pin::pin!(served);
    let outcome = tokio::select! {
        outcome = served.as_mut() => outcome,
        () = seat.leave.cancelled() => return,
        () = shutdown.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// The least that hyper allows for its read buffer, in bytes.
const MIN_BUFFER: usize = 8192;

async fn answer(router: Router, request: http::Request<Body>) -> http::Response<Body> {
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
