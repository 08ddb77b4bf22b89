//! Who is connected, and who makes room when the house is full.
//!
//! A connection is a stranger until a request on it is verified. When a cap is reached, the stranger
//! who has been there longest leaves for the newcomer; proven callers keep their places, and when
//! there are only those, the newcomer is refused. So holding connections open without speaking
//! keeps nobody else out.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::Limits;
use crate::metrics::Counters;

/// The places of one server.
#[derive(Debug)]
pub(super) struct Seats {
    taken: Mutex<Taken>,
    limits: Limits,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Taken {
    /// By arrival.
    guests: BTreeMap<u64, Guest>,
    by_origin: HashMap<IpAddr, usize>,
    arrivals: u64,
}

#[derive(Debug)]
struct Guest {
    origin: IpAddr,
    standing: Standing,
    leave: CancellationToken,
}

/// Whether a request on this connection has been verified; in each request's extensions.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing(Arc<AtomicBool>);

impl Standing {
    /// A request was verified.
    pub(super) fn prove(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_proven(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// One connection's place, given back on drop.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    arrival: u64,
    /// To be proven by the connection's requests.
    pub(super) standing: Standing,
    /// Ends when the connection must make room.
    pub(super) leave: CancellationToken,
}

impl Seats {
    pub(super) fn new(limits: Limits, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::default(), limits, counters })
    }

    /// A place for a connection from `ip`, if there is one or a stranger can be sent away.
    pub(super) fn take(self: &Arc<Self>, ip: IpAddr) -> Option<Seat> {
        let origin = origin(ip);
        let taken = &mut *self.taken.lock();
        if !taken.make_room(origin, &self.limits) {
            self.counters.connections_refused.add_one();
            return None;
        }
        let (standing, leave) = (Standing::default(), CancellationToken::new());
        let guest = Guest { origin, standing: standing.clone(), leave: leave.clone() };
        let arrival = taken.arrivals;
        taken.arrivals += 1;
        taken.guests.insert(arrival, guest);
        *taken.by_origin.entry(origin).or_default() += 1;
        self.counters.connections.add_one();
        self.counters.connections_open.add_one();
        Some(Seat { seats: Arc::clone(self), arrival, standing, leave })
    }
}

impl Taken {
    fn make_room(&mut self, origin: IpAddr, limits: &Limits) -> bool {
        let here = self.by_origin.get(&origin).copied().unwrap_or_default();
        if here >= limits.connections_per_ip {
            return self.send_away(|guest| guest.origin == origin);
        }
        self.guests.len() < limits.connections || self.send_away(|_| true)
    }

    /// Makes the stranger leave who came first among those that `may` leave.
    fn send_away(&mut self, may: impl Fn(&Guest) -> bool) -> bool {
        let stranger = self.guests.iter().find(|(_, g)| !g.standing.is_proven() && may(g));
        let Some(arrival) = stranger.map(|(&arrival, _)| arrival) else { return false };
        self.remove(arrival);
        true
    }

    fn remove(&mut self, arrival: u64) {
        // Whoever was sent away is gone from here before its connection ends.
        let Some(guest) = self.guests.remove(&arrival) else { return };
        guest.leave.cancel();
        if let Some(here) = self.by_origin.get_mut(&guest.origin) {
            *here -= 1;
            if *here == 0 {
                self.by_origin.remove(&guest.origin);
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken.lock().remove(self.arrival);
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
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(connections: usize, connections_per_ip: usize) -> Arc<Seats> {
        let limits = Limits { connections, connections_per_ip, ..Limits::default() };
        Seats::new(limits, Arc::default())
    }

    /// A seat of a caller who is proven.
    fn proven(seats: &Arc<Seats>, ip: &str) -> Option<Seat> {
        let seat = seats.take(ip.parse().unwrap())?;
        seat.standing.prove();
        Some(seat)
    }

    #[test]
    fn one_address_cannot_take_every_seat() {
        let seats = seats(3, 2);
        let a = proven(&seats, "192.0.2.1").unwrap();
        let _b = proven(&seats, "::ffff:192.0.2.1").unwrap();
        assert!(proven(&seats, "192.0.2.1").is_none());
        let _c = proven(&seats, "192.0.2.2").unwrap();
        assert!(proven(&seats, "192.0.2.3").is_none());
        drop(a);
        assert!(proven(&seats, "192.0.2.3").is_some());
    }

    #[test]
    fn neighbours_in_one_ipv6_network_count_as_one() {
        let seats = seats(9, 1);
        let _a = proven(&seats, "2001:db8:1:2::1").unwrap();
        assert!(proven(&seats, "2001:db8:1:2:ffff::2").is_none());
        assert!(proven(&seats, "2001:db8:1:3::1").is_some());
    }

    #[test]
    fn the_stranger_who_came_first_makes_room() {
        let seats = seats(3, 3);
        let known = proven(&seats, "192.0.2.1").unwrap();
        let [first, second, third] =
            [2, 3, 4].map(|n| seats.take(IpAddr::from([192, 0, 2, n])).unwrap());
        assert!(first.leave.is_cancelled());
        assert!([&known, &second, &third].iter().all(|seat| !seat.leave.is_cancelled()));
        drop((known, first, second, third));
        assert_eq!(seats.taken.lock().guests.len(), 0);
        assert_eq!(seats.taken.lock().by_origin.len(), 0);
        assert_eq!(seats.counters.connections_open.get(), 0);
    }
}
