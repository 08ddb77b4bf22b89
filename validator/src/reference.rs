//! The reference engine as a tool to measure with.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chain_metadata::Hotkey;
use inference::evidence::{Answer, AnswerError, Reading, Sampler, Scheme};
use inference::{Audit, Engine, EngineError, Job, Prompt, Sampling, TokenCheck};
use subnet_rules::tools::{
    Account, GroupMeasure, Read, Reference, Sampled, TokenMeasure, ToolError,
};
use wire::auth::{self, Signature};

/// Tries for a place in the reference engine's queue, which others may share.
const QUEUE_TRIES: u32 = 200;

/// Wait between two of them.
const QUEUE_WAIT: Duration = Duration::from_millis(50);

/// A running engine.
#[derive(Debug, Clone)]
pub struct EngineReference(pub Arc<Engine>);

/// Why a miner's account of its tokens is none.
#[derive(Debug, thiserror::Error)]
enum AccountError {
    #[error("it is no answer: {0}")]
    Answer(#[from] AnswerError),
    #[error("it is about another {0}")]
    Other(&'static str),
    #[error("it is not signed by the miner's hotkey")]
    Unsigned,
    #[error("the prompt does not tokenise: {0}")]
    Prompt(#[from] EngineError),
}

#[async_trait]
impl Reference for EngineReference {
    fn model(&self) -> String {
        self.0.model_id().to_string()
    }

    fn ends(&self, token: u32) -> bool {
        self.0.model().tokenizer().ends(token)
    }

    fn text(&self, ids: &[u32]) -> Option<String> {
        self.0.model().tokenizer().decode(ids).ok()
    }

    async fn read(
        &self,
        of: &Sampled<'_>,
        ids: &[u32],
        account: Option<Account<'_>>,
    ) -> Result<Option<Read>, ToolError> {
        let claimed = account.and_then(|account| match self.claimed(of, ids, &account) {
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::debug!(miner = %account.miner, %error, "no account of an answer");
                None
            }
        });
        let Some(audit) = self.audited(of, ids).await? else { return Ok(None) };
        let account = claimed.map(|answer| groups(&answer, &audit));
        Ok(Some(Read { tokens: audit.checks.iter().map(token).collect(), account }))
    }

    async fn write(&self, of: &Sampled<'_>) -> Result<String, ToolError> {
        let job = Job::new(Prompt::Text(of.prompt.to_owned()), of.max_tokens, sampling(of));
        let done = queued(|| self.0.generate(job.clone())).await.map_err(ToolError::failed)?;
        Ok(done.text)
    }
}

impl EngineReference {
    /// `None` where the ids are none of the model's, or too many for it.
    async fn audited(&self, of: &Sampled<'_>, ids: &[u32]) -> Result<Option<Audit>, ToolError> {
        let prompt = Prompt::Text(of.prompt.to_owned());
        let sampling = sampling(of);
        match queued(|| self.0.audit(&prompt, ids, &sampling, Scheme::default())).await {
            Ok(audit) => Ok(Some(audit)),
            Err(EngineError::UnknownToken { .. } | EngineError::TooLong { .. }) => Ok(None),
            Err(error) => Err(ToolError::failed(error)),
        }
    }

    /// A miner's account, if it is of the answer to this prompt and signed by the miner.
    fn claimed(
        &self,
        of: &Sampled<'_>,
        ids: &[u32],
        account: &Account<'_>,
    ) -> Result<Answer, AccountError> {
        let answer = Answer::parse(account.evidence.to_string().as_bytes())?;
        let asked = Sampler::Seeded { temperature: of.temperature, seed: of.seed, binding: None };
        let prompt = self.0.tokens(&Prompt::Text(of.prompt.to_owned()))?;
        for (what, same) in [
            ("model", answer.model.to_string() == account.model),
            ("sampling", answer.sampler == asked),
            ("prompt", answer.prompt_ids == prompt),
            ("completion", answer.completion_ids == ids),
        ] {
            if !same {
                return Err(AccountError::Other(what));
            }
        }
        signed(&answer, account.miner)?;
        Ok(answer)
    }
}

fn signed(answer: &Answer, miner: &Hotkey) -> Result<(), AccountError> {
    let signer = answer.signer(|key, message, signature| {
        let hotkey = Hotkey::from_bytes(*key);
        auth::Scheme::Sr25519.verify(&Signature(*signature), message, &hotkey)
    })?;
    match signer {
        Some(signer) if signer.0 == *miner.as_bytes() => Ok(()),
        _ => Err(AccountError::Unsigned),
    }
}

/// How far an account lies from our own pass; a group that it leaves out is as far as can be.
fn groups(claimed: &Answer, audit: &Audit) -> Vec<GroupMeasure> {
    let groups = Reading::new(claimed, audit);
    let groups = groups.accounts().map(|group| group.unwrap_or((f64::NAN, f64::NAN)));
    groups.map(|(likelihood, sketch)| GroupMeasure::new(likelihood, sketch)).collect()
}

/// The task's temperature is checked by the rule that drew it; were it none, greedy draws would
/// match nobody, so nobody would pass.
fn sampling(of: &Sampled<'_>) -> Sampling {
    Sampling::new(of.temperature, of.seed).unwrap_or_else(|_| Sampling::greedy())
}

fn token(check: &TokenCheck) -> TokenMeasure {
    TokenMeasure::new(check.entropy_nat, check.margin, check.matches())
}

/// Runs `work` when the engine has a place for it.
async fn queued<T, F>(mut work: impl FnMut() -> F) -> Result<T, EngineError>
where
    F: Future<Output = Result<T, EngineError>>,
{
    for _ in 1..QUEUE_TRIES {
        match work().await {
            Err(EngineError::Busy { .. }) => tokio::time::sleep(QUEUE_WAIT).await,
            done => return done,
        }
    }
    work().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use sp_core::{Pair as _, sr25519};

    #[test]
    fn only_the_miners_own_signature_counts() {
        let pair = sr25519::Pair::from_string("//Bob", None).unwrap();
        let hotkey = Hotkey::from_bytes(pair.public().0);
        let other = Hotkey::from_bytes([7; 32]);
        let answer: Answer = serde_json::from_str(ANSWER).unwrap();
        assert!(matches!(signed(&answer, &hotkey), Err(AccountError::Unsigned)));
        let signed_answer = answer.signed_by(pair.public().0, |bytes| pair.sign(bytes).0);
        assert!(signed(&signed_answer, &hotkey).is_ok());
        assert!(matches!(signed(&signed_answer, &other), Err(AccountError::Unsigned)));
    }

    /// Three tokens of the shipped model.
    const ANSWER: &str = include_str!("../testdata/answer.json");
}
