//! The threads that share a matrix product.

use rayon::prelude::*;

/// A fixed number of compute threads.
#[derive(Debug)]
pub(crate) struct Pool {
    threads: usize,
    rayon: Option<rayon::ThreadPool>,
}

impl Pool {
    /// `threads` ≥ 1; one means that the caller computes alone.
    pub(crate) fn new(threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let threads = threads.max(1);
        let rayon = (threads > 1)
            .then(|| {
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .thread_name(|index| format!("inference-{index}"))
                    .build()
            })
            .transpose()?;
        Ok(Self { threads, rayon })
    }

    pub(crate) const fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `step` inside the pool, so that the products it makes need no hand-over.
    pub(crate) fn enter<T: Send>(&self, step: impl FnOnce() -> T + Send) -> T {
        match &self.rayon {
            Some(pool) => pool.install(step),
            None => step(),
        }
    }

    /// Calls `work` on each part, on all threads.
    pub(crate) fn each<T: Send>(&self, parts: Vec<T>, work: impl Fn(T) + Send + Sync) {
        match &self.rayon {
            Some(pool) if parts.len() > 1 => {
                pool.install(|| parts.into_par_iter().with_max_len(1).for_each(work));
            }
            _ => parts.into_iter().for_each(work),
        }
    }
}
