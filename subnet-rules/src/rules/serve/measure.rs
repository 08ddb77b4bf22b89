//! From a miner's bytes to numbers.
//!
//! Only the token ids are read of a reply; the text, the end and the likelihoods are the reference's own
//! reading of them. A reply that cannot be read that way is no answer, by name.

use scoring::evidence::Claimed;

use super::ask::{Reply, Task};
use super::measurement::{Answer, Measurement};
use super::{Secret, Serve};
use crate::exchange::{Exchanged, Fault, Message};
use crate::rule::Asked;
use crate::tools::{Account, Read, Reference, Sampled, ToolError, Tools};

pub(super) async fn measure(
    asked: Asked<'_, Serve>,
    came: &Exchanged,
    tools: &Tools<'_>,
    accounted: bool,
) -> Result<Measurement, ToolError> {
    let message = match came {
        Exchanged::Replied(message) => message,
        Exchanged::Nothing(fault) => return Ok(Measurement::Unanswered(*fault)),
        _ => return Ok(Measurement::Unanswered(Fault::Malformed)),
    };
    match message.read::<Reply>() {
        Ok(reply) => read(asked, message, reply, tools.reference()?, accounted).await,
        Err(fault) => Ok(Measurement::Unanswered(fault)),
    }
}

async fn read(
    asked: Asked<'_, Serve>,
    message: &Message,
    reply: Reply,
    reference: &dyn Reference,
    accounted: bool,
) -> Result<Measurement, ToolError> {
    const MALFORMED: Measurement = Measurement::Unanswered(Fault::Malformed);
    let task = &asked.draw.public;
    let ids = &reply.token_ids;
    let Some((&last, before)) = ids.split_last() else { return Ok(MALFORMED) };
    let ends_early = before.iter().any(|&id| reference.ends(id));
    if ids.len() > task.max_tokens as usize || ends_early {
        return Ok(MALFORMED);
    }
    let (of, open) = (task.sampled(), asked.draw.secret == Secret::Open);
    let account = reply.evidence.as_ref().filter(|_| accounted && open);
    let account =
        account.map(|evidence| Account { miner: &asked.miner, model: &reply.model, evidence });
    let Some(Read { tokens, account }) = reference.read(&of, ids, account).await? else {
        return Ok(MALFORMED);
    };
    let Some(text) = reference.text(ids) else { return Ok(MALFORMED) };
    let stopped = reference.ends(last);
    let (checks, reference) = if open {
        (tokens, None)
    } else {
        let complete = stopped || ids.len() == task.max_tokens as usize;
        let own = if complete && tokens.iter().all(|token| token.matched) {
            // These are the very tokens that the reference draws.
            text.clone()
        } else {
            reference.write(&of).await?
        };
        (Vec::new(), Some(own))
    };
    Ok(Measurement::Answered(Answer {
        model: Claimed::new(reply.model),
        token_ids: reply.token_ids,
        stopped,
        text,
        checks,
        account,
        reference,
        first_byte_us: message.first_byte_us,
        total_us: message.total_us,
    }))
}

impl Task {
    /// What determines the completion.
    pub fn sampled(&self) -> Sampled<'_> {
        Sampled {
            prompt: &self.prompt,
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            seed: self.seed,
        }
    }
}
