//! Who may ask, and how much at a time.

use std::collections::HashMap;
use std::sync::Arc;

use chain::Metagraph;
use chain_metadata::Hotkey;
use parking_lot::Mutex;

use crate::config::Admission;

/// The hotkeys that may ask, by this metagraph: those allowed by name, and of the registered ones
/// all or those with a permit.
pub fn may_ask(metagraph: &Metagraph, admission: &Admission) -> Vec<Hotkey> {
    let registered = metagraph
        .neurons
        .iter()
        .filter(|neuron| neuron.validator_permit || !admission.require_permit)
        .map(|neuron| neuron.hotkey);
    registered.chain(admission.allow.iter().copied()).collect()
}

/// Requests under way, bounded for each caller and in all.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    per_caller: usize,
    in_all: usize,
    taken: Mutex<HashMap<Hotkey, usize>>,
}

/// A request's place; given back on drop.
#[derive(Debug)]
pub struct Slot {
    slots: Slots,
    hotkey: Hotkey,
}

impl Slots {
    /// As configured.
    pub fn new(admission: &Admission) -> Self {
        let Admission { per_caller, queue, .. } = *admission;
        Self(Arc::new(Inner { per_caller, in_all: queue, taken: Mutex::default() }))
    }

    /// A place for a request of `hotkey`, or `None` when it or all have theirs.
    pub fn take(&self, hotkey: Hotkey) -> Option<Slot> {
        let mut taken = self.0.taken.lock();
        let of_all: usize = taken.values().sum();
        let of_caller = taken.get(&hotkey).copied().unwrap_or(0);
        if of_all >= self.0.in_all || of_caller >= self.0.per_caller {
            return None;
        }
        taken.insert(hotkey, of_caller + 1);
        Some(Slot { slots: self.clone(), hotkey })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.0.taken.lock();
        match taken.get_mut(&self.hotkey) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.remove(&self.hotkey);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hotkey(n: u8) -> Hotkey {
        Hotkey::from_bytes([n; 32])
    }

    #[test]
    fn a_caller_has_its_share_and_all_have_theirs() {
        let slots = Slots::new(&Admission { per_caller: 2, queue: 3, ..Admission::default() });
        let first = slots.take(hotkey(1)).unwrap();
        let _second = slots.take(hotkey(1)).unwrap();
        assert!(slots.take(hotkey(1)).is_none(), "a third of one caller");
        let _other = slots.take(hotkey(2)).unwrap();
        assert!(slots.take(hotkey(3)).is_none(), "a fourth in all");
        drop(first);
        assert!(slots.take(hotkey(3)).is_some(), "a place was given back");
    }
}
