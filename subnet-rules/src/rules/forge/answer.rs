//! The miner's hand in `forge`: the whole chain, held until its steps are asked for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::ask::{Opening, Openings, Products, Roots, Steps, Task};
use super::work::{chain, root};
use crate::arena::Kind;
use crate::digest::Digest;
use crate::exchange::Phase;
use crate::work::{Job, Work, WorkError, answered, asked};

/// Chains held at a time: as many validators as a subnet has, each with one task.
const HELD: usize = 64;

/// Does the work.
#[derive(Debug, Default)]
pub struct Smith(Mutex<VecDeque<(Digest, Vec<Vec<i32>>)>>);

impl Smith {
    fn hold(&self, task: Digest, products: Vec<Vec<i32>>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() == HELD {
            held.pop_front();
        }
        held.push_back((task, products));
    }
}

/// The root of each product.
pub(super) fn roots(products: &[Vec<i32>]) -> Roots {
    Roots { roots: products.iter().map(|product| root(product)).collect() }
}

/// Opens steps of a chain; one that is not there is opened as nothing.
pub(super) fn open(products: &[Vec<i32>], steps: &[usize]) -> Openings {
    let product = |step: usize| products.get(step.wrapping_sub(1)).cloned().unwrap_or_default();
    let open = |step: &usize| {
        Opening::of(&Products { before: product(step.wrapping_sub(1)), product: product(*step) })
    };
    Openings { steps: steps.iter().map(open).collect() }
}

impl Work for Smith {
    fn answer(&self, job: &Job<'_>) -> Result<Value, WorkError> {
        match job.phase {
            Phase::Once => Err(WorkError::Task("a chain is committed to, then opened".into())),
            Phase::Commit => {
                let task: Task = asked(job.body)?;
                if !task.is_sound() {
                    return Err(WorkError::Task(format!(
                        "a chain of {} × {}",
                        task.depth, task.size
                    )));
                }
                let products = chain(&task.key, task.size, task.depth);
                let roots = roots(&products);
                self.hold(job.task, products);
                answered(&roots)
            }
            Phase::Open => {
                let Steps { steps } = asked(job.body)?;
                let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                let place = held.iter().position(|(task, _)| *task == job.task);
                let (_, products) =
                    place.and_then(|place| held.remove(place)).ok_or(WorkError::Unknown)?;
                drop(held);
                answered(&open(&products, &steps))
            }
        }
    }
}

/// A hand of this kind: who says it is honest is; the others do as their kind does.
pub(super) fn worker(params: super::Params, kind: Kind) -> Option<Arc<dyn Work>> {
    Some(match kind {
        Kind::Honest | Kind::Sybil => Arc::new(Smith::default()),
        Kind::Colluder => return None,
        kind => Arc::new(Cheat { kind, params, held: Smith::default() }),
    })
}

/// Sends what looks like work.
#[derive(Debug)]
struct Cheat {
    kind: Kind,
    params: super::Params,
    held: Smith,
}

impl Work for Cheat {
    fn answer(&self, job: &Job<'_>) -> Result<Value, WorkError> {
        if job.phase == Phase::Open {
            let Steps { steps } = asked(job.body)?;
            let late = steps.iter().any(|step| *step > self.params.depth / 2);
            if self.kind == Kind::Forger && late {
                return Err(WorkError::Unknown);
            }
            return self.held.answer(job);
        }
        let task: Task = asked(job.body)?;
        let entries = task.size * task.size;
        let products = match self.kind {
            // Half of the chain; the rest is made up, and not opened.
            Kind::Forger => {
                let mut products = chain(&task.key, task.size, task.depth / 2);
                products.resize_with(task.depth, || vec![1; entries]);
                products
            }
            // Twice the time that the named device takes.
            Kind::Substitute => {
                std::thread::sleep(Duration::from_micros(self.params.allowed_us * 2));
                chain(&task.key, task.size, task.depth)
            }
            Kind::Poison => vec![vec![i32::MIN; entries / 2]; task.depth],
            _ => vec![vec![0; entries]; task.depth],
        };
        let roots = roots(&products);
        self.held.hold(job.task, products);
        answered(&roots)
    }
}
