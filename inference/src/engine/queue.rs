//! Who is next: start-time fair queueing (Goyal, Vin and Cheng, *Start-time fair queueing*, 1996).
//!
//! A caller's jobs follow each other in virtual time, each as long as its tokens divided by the
//! caller's weight; the job that starts first is next. So a caller who sends a hundred jobs delays
//! another's first by one job at most.

use std::collections::HashMap;

/// Whose job it is, and how much of the engine is due to him.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The caller; a public key, say.
    pub caller: [u8; 32],
    /// Tokens due to this caller for each token due to one of weight 1. At least 1.
    pub weight: u32,
}

impl Default for Share {
    /// Nobody in particular.
    fn default() -> Self {
        Self { caller: [0; 32], weight: 1 }
    }
}

/// Virtual time of one token at weight 1; large, so that weights divide it without loss that matters.
const TOKEN: u64 = 1 << 16;

/// Callers remembered before those with nothing outstanding are forgotten.
const CALLERS: usize = 1024;

#[derive(Debug)]
struct Entry<T> {
    start: u64,
    arrival: u64,
    item: T,
}

/// Waiting items.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    waiting: Vec<Entry<T>>,
    /// Items that were next already and had to step back; the last one is next.
    front: Vec<T>,
    /// When each caller's last item ends.
    ends: HashMap<[u8; 32], u64>,
    now: u64,
    arrivals: u64,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { waiting: Vec::new(), front: Vec::new(), ends: HashMap::new(), now: 0, arrivals: 0 }
    }
}

impl<T> FairQueue<T> {
    pub(super) const fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.front.is_empty()
    }

    /// Queues an item of so many tokens.
    pub(super) fn push(&mut self, item: T, share: Share, tokens: usize) {
        if self.ends.len() >= CALLERS {
            let now = self.now;
            self.ends.retain(|_, end| *end > now);
        }
        let end = self.ends.entry(share.caller).or_insert(0);
        let start = self.now.max(*end);
        let length = (tokens as u64).saturating_mul(TOKEN) / u64::from(share.weight.max(1));
        *end = start.saturating_add(length);
        self.arrivals += 1;
        self.waiting.push(Entry { start, arrival: self.arrivals, item });
    }

    /// Puts an item before all others.
    pub(super) fn step_back(&mut self, item: T) {
        self.front.push(item);
    }

    fn next(&self) -> Option<usize> {
        let keys = self.waiting.iter().map(|entry| (entry.start, entry.arrival));
        keys.enumerate().min_by_key(|(_, key)| *key).map(|(index, _)| index)
    }

    /// The item that is next.
    pub(super) fn peek(&self) -> Option<&T> {
        self.front.last().or_else(|| self.next().map(|index| &self.waiting[index].item))
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        if let Some(item) = self.front.pop() {
            return Some(item);
        }
        let entry = self.next().map(|index| self.waiting.swap_remove(index))?;
        self.now = self.now.max(entry.start);
        Some(entry.item)
    }

    /// Takes out the items that `picks` picks.
    pub(super) fn extract(&mut self, picks: impl Fn(&T) -> bool) -> Vec<T> {
        let mut out: Vec<T> = self.front.extract_if(.., |item| picks(item)).collect();
        out.extend(self.waiting.extract_if(.., |e| picks(&e.item)).map(|entry| entry.item));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(caller: u8, weight: u32) -> Share {
        Share { caller: [caller; 32], weight }
    }

    fn drain(mut queue: FairQueue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn a_crowd_of_one_caller_delays_another_by_one_job() {
        let mut queue = FairQueue::default();
        for name in ["a1", "a2", "a3"] {
            queue.push(name, share(1, 1), 100);
        }
        queue.push("b1", share(2, 1), 100);
        assert_eq!(drain(queue), ["a1", "b1", "a2", "a3"]);
    }

    #[test]
    fn a_caller_of_weight_two_has_two_jobs_for_each_of_weight_one() {
        let mut queue = FairQueue::default();
        for name in ["a1", "a2", "a3"] {
            queue.push(name, share(1, 1), 100);
        }
        for name in ["b1", "b2", "b3", "b4"] {
            queue.push(name, share(2, 2), 100);
        }
        assert_eq!(drain(queue), ["a1", "b1", "b2", "a2", "b3", "b4", "a3"]);
    }

    #[test]
    fn one_who_steps_back_is_next() {
        let mut queue = FairQueue::default();
        queue.push("a", share(1, 1), 1);
        queue.step_back("younger");
        queue.step_back("older");
        assert_eq!(drain(queue), ["older", "younger", "a"]);
    }
}
