//! Asks many miners at once, none of them first by its place in a list.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use chain_metadata::Hotkey;
use rand::seq::SliceRandom as _;
use tokio::{
    sync::{Barrier, Semaphore},
    task::{Id, JoinSet},
};

use super::{Answer, AnswerError, Client, Endpoint};

/// One question of many.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whom to ask.
    pub endpoint: Endpoint,
    /// The path to post to.
    pub path: String,
    /// The body.
    pub body: Bytes,
}

/// A miner and what came of asking it.
pub type Outcome = (Hotkey, Result<Answer, AnswerError>);

impl Client {
    /// Asks all of `questions`, at most `concurrency` at a time, and returns what came of each in
    /// the order given.
    ///
    /// The order of asking is random. The first `concurrency` questions wait for each other and go
    /// out together, so that no miner sees the round begin long before another; each is timed from
    /// its own start. Dropping the future gives all of them up.
    pub async fn fan_out(&self, questions: Vec<Question>, concurrency: usize) -> Vec<Outcome> {
        let width = concurrency.clamp(1, questions.len().max(1));
        let hotkeys: Vec<Hotkey> = questions.iter().map(|q| q.endpoint.hotkey).collect();
        let mut order: Vec<(usize, Question)> = questions.into_iter().enumerate().collect();
        order.shuffle(&mut rand::thread_rng());

        let (seats, together) = (Arc::new(Semaphore::new(width)), Arc::new(Barrier::new(width)));
        let (mut tasks, mut places): (JoinSet<_>, HashMap<Id, usize>) = Default::default();
        for (rank, (place, question)) in order.into_iter().enumerate() {
            let (client, seats) = (self.clone(), Arc::clone(&seats));
            // Seated here and not in the task, so that none of the later ones can come first.
            let first = rank < width;
            let seat = if first { Arc::clone(&seats).try_acquire_owned().ok() } else { None };
            let together = first.then(|| Arc::clone(&together));
            let task = tasks.spawn(async move {
                let _seat = match seat {
                    Some(seat) => Some(seat),
                    // The semaphore is never closed; an error would only mean no waiting.
                    None => seats.acquire_owned().await.ok(),
                };
                if let Some(together) = together {
                    together.wait().await;
                }
                client.post(&question.endpoint, &question.path, question.body).await
            });
            places.insert(task.id(), place);
        }
        collect(tasks, &places, hotkeys).await
    }
}

async fn collect(
    mut tasks: JoinSet<Result<Answer, AnswerError>>,
    places: &HashMap<Id, usize>,
    hotkeys: Vec<Hotkey>,
) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> =
        hotkeys.into_iter().map(|hotkey| (hotkey, Err(AnswerError::Abandoned))).collect();
    while let Some(joined) = tasks.join_next_with_id().await {
        // A task that ends without a result leaves its place as it is: abandoned.
        let Ok((id, result)) = joined else { continue };
        if let Some((_, outcome)) = places.get(&id).and_then(|&place| outcomes.get_mut(place)) {
            *outcome = result;
        }
    }
    outcomes
}
