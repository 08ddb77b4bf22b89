//! Takes connections, as many as allowed, and ends them in order.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{Limits, stall::StallGuard};
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
    let seats = Arc::new(Seats { taken: Mutex::default(), limits, counters });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => if let Some(seat) = Seats::take(&seats, peer.ip()) {
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
    _seat: Seat,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
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

/// Who is connected.
#[derive(Debug)]
struct Seats {
    taken: Mutex<Taken>,
    limits: Limits,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// One connection's place, given back on drop.
#[derive(Debug)]
struct Seat {
    seats: Arc<Seats>,
    origin: IpAddr,
}

impl Seats {
    fn take(seats: &Arc<Self>, ip: IpAddr) -> Option<Seat> {
        let origin = origin(ip);
        let mut taken = seats.taken.lock();
        let here = taken.by_ip.get(&origin).copied().unwrap_or_default();
        let limits = &seats.limits;
        if taken.total >= limits.connections || here >= limits.connections_per_ip {
            seats.counters.connections_refused.add_one();
            return None;
        }
        taken.total += 1;
        taken.by_ip.insert(origin, here + 1);
        seats.counters.connections.add_one();
        seats.counters.connections_open.add_one();
        Some(Seat { seats: Arc::clone(seats), origin })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        taken.total -= 1;
        if let Some(here) = taken.by_ip.get_mut(&self.origin) {
            *here -= 1;
            if *here == 0 {
                taken.by_ip.remove(&self.origin);
            }
        }
        self.seats.counters.connections_open.sub_one();
    }
}

/// What counts as one address: an IPv6 host commands its whole /64.
pub(super) fn origin(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(connections: usize, connections_per_ip: usize) -> Arc<Seats> {
        let limits = Limits { connections, connections_per_ip, ..Limits::default() };
        Arc::new(Seats { taken: Mutex::default(), limits, counters: Arc::default() })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_cannot_take_every_seat() {
        let seats = seats(3, 2);
        let a = Seats::take(&seats, ip("192.0.2.1")).unwrap();
        let _b = Seats::take(&seats, ip("::ffff:192.0.2.1")).unwrap();
        assert!(Seats::take(&seats, ip("192.0.2.1")).is_none());
        let _c = Seats::take(&seats, ip("192.0.2.2")).unwrap();
        assert!(Seats::take(&seats, ip("192.0.2.3")).is_none());
        drop(a);
        assert!(Seats::take(&seats, ip("192.0.2.3")).is_some());
    }

    #[test]
    fn neighbours_in_one_ipv6_network_count_as_one() {
        let seats = seats(9, 1);
        let _a = Seats::take(&seats, ip("2001:db8:1:2::1")).unwrap();
        assert!(Seats::take(&seats, ip("2001:db8:1:2:ffff::2")).is_none());
        assert!(Seats::take(&seats, ip("2001:db8:1:3::1")).is_some());
    }
}
