//! The rules that this program can ask miners by: `serve`, which a reference model measures, and rules
//! in Starlark whose tasks and answers are texts.

use chain_metadata::Hotkey;
use inference::EngineError;
use serde::Deserialize as _;
use serde_json::{Value, json};
use subnet_rules::digest::Digest;
use subnet_rules::manifest::{Code, Manifest};
use subnet_rules::package::Package;
use subnet_rules::prf::Prf;
use subnet_rules::rule::{Draw, Rule as _, Subject};
use subnet_rules::serve::{Calibration, Serve, ServeDraw, ServeError};
use subnet_rules::star::{Draws, Limits, Memory, Program, Star, StarError};
use wire::generate::GenerateRequest;

/// Tokens that a rule in Starlark lets a miner write where it names no number.
const STAR_TOKENS: u32 = 256;

/// Code of the rule that a reference model measures.
const SERVE: &str = "serve";

/// A rule that miners are asked by.
#[derive(Debug)]
pub(crate) enum Exam {
    Serve(Box<Serve>),
    Star(Box<Star>),
}

/// Why this program cannot ask by a rule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExamError {
    /// The rule is of a code whose answers no miner sends over the wire.
    #[error(
        "`{name}` is played in the arena only: validators ask by `serve` and by rules in Starlark"
    )]
    Code {
        /// The rule's name.
        name: String,
    },
    /// The rule names no model.
    #[error("the rule names no model")]
    NoModel,
    /// The rule names another model than this validator has.
    #[error("the rule names the model {named}, and this validator has {ours}")]
    OtherModel {
        /// What it names.
        named: String,
        /// What is loaded here.
        ours: String,
    },
    /// Not a rule of `serve`.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Its code cannot be run.
    #[error(transparent)]
    Star(#[from] StarError),
    /// The reference engine failed while the rule was calibrated.
    #[error("the reference engine failed")]
    Engine(#[from] EngineError),
}

/// A task, of the kind that its rule draws.
#[derive(Debug)]
pub(crate) enum Task {
    Serve(ServeDraw),
    Star(Draw<Value, Draws>),
}

impl Exam {
    /// The rule of a package, which names the model that it is for.
    pub(crate) fn of_package(
        package: &Package,
        ours: &str,
        host: &Program,
    ) -> Result<Self, ExamError> {
        match &package.manifest.code {
            Code::Starlark => {
                Ok(Self::Star(Box::new(Star::start(package, host, Limits::default())?)))
            }
            Code::Native(code) if code.as_str() == SERVE => {
                askable(package)?;
                let rule = Serve::new(package.manifest.clone())?;
                let named = &rule.params().model;
                if named != ours {
                    return Err(ExamError::OtherModel { named: named.clone(), ours: ours.into() });
                }
                Ok(Self::Serve(Box::new(rule)))
            }
            Code::Native(_) | Code::Compose(_) => {
                Err(ExamError::Code { name: package.manifest.name.to_string() })
            }
        }
    }

    /// A rule of `serve` that leaves the model open, for the model that is here.
    pub(crate) fn of_model(
        package: &Package,
        ours: &str,
        calibration: &Calibration,
    ) -> Result<Self, ExamError> {
        let rule = Serve::of_model(package.manifest.clone(), ours, calibration)?;
        Ok(Self::Serve(Box::new(rule)))
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        match self {
            Self::Serve(rule) => rule.manifest(),
            Self::Star(rule) => rule.manifest(),
        }
    }

    pub(crate) fn digest(&self) -> Digest {
        match self {
            Self::Serve(rule) => rule.digest(),
            Self::Star(rule) => rule.digest(),
        }
    }

    /// Whether miners are asked for an account of their tokens.
    pub(crate) fn accounts(&self) -> bool {
        matches!(self, Self::Serve(rule) if rule.params().account.is_some())
    }

    /// Identities that the rule has found to be one.
    pub(crate) fn clusters(&self, memory: &Memory) -> Vec<Vec<Hotkey>> {
        match self {
            Self::Serve(rule) => rule.clusters(&()),
            Self::Star(rule) => rule.clusters(memory),
        }
    }

    pub(crate) fn draw(&self, prf: &mut Prf, miner: Hotkey, memory: &Memory) -> Task {
        let subject = Subject::Miner(miner);
        match self {
            Self::Serve(rule) => Task::Serve(rule.draw(prf, &subject, &())),
            Self::Star(rule) => Task::Star(rule.draw(prf, &subject, memory)),
        }
    }
}

impl Task {
    /// What the miner is asked; an error is the rule's own fault.
    pub(crate) fn request(&self, evidence: bool) -> Result<GenerateRequest, String> {
        match self {
            Self::Serve(draw) => Ok(GenerateRequest {
                model: Some(draw.public.model.clone()),
                prompt: draw.public.prompt.clone(),
                max_tokens: draw.public.max_tokens,
                temperature: draw.public.temperature,
                seed: draw.public.seed,
                evidence,
            }),
            Self::Star(Draw { secret: Draws::Failed(why), .. }) => Err(why.clone()),
            Self::Star(Draw { public, .. }) => asked(public),
        }
    }
}

/// The request of a public task in Starlark: its `prompt`, and as far as it names them `model`,
/// `max_tokens`, `temperature` and `seed`. Whatever else it holds is not sent.
fn asked(public: &Value) -> Result<GenerateRequest, String> {
    let given = |name: &str, otherwise: Value| public.get(name).cloned().unwrap_or(otherwise);
    let request = json!({
        "model": given("model", Value::Null),
        "prompt": given("prompt", Value::Null),
        "max_tokens": given("max_tokens", json!(STAR_TOKENS)),
        "temperature": given("temperature", json!(0)),
        "seed": given("seed", json!(0)),
    });
    GenerateRequest::deserialize(request)
        .map_err(|error| format!("rule.star: `public` is no question to a miner: {error}"))
}

/// Whether validators can ask miners by a rule, as far as its files tell.
///
/// # Errors
/// Why not.
pub fn askable(package: &Package) -> Result<(), ExamError> {
    match &package.manifest.code {
        Code::Starlark => Ok(()),
        Code::Native(code) if code.as_str() == SERVE => {
            if !names_model(&package.manifest) {
                return Err(ExamError::NoModel);
            }
            Serve::new(package.manifest.clone())?;
            Ok(())
        }
        Code::Native(_) | Code::Compose(_) => {
            Err(ExamError::Code { name: package.manifest.name.to_string() })
        }
    }
}

/// Whether a manifest of `serve` says for which model it is.
pub fn names_model(manifest: &Manifest) -> bool {
    manifest.params.get("model").and_then(toml::Value::as_str).is_some_and(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_task_is_asked_as_far_as_a_miner_understands_it() {
        let public = json!({"prompt": "2 + 2?", "allowed_ms": 500, "max_tokens": 4, "seed": 9});
        let request = asked(&public).unwrap();
        assert_eq!((request.prompt.as_str(), request.max_tokens, request.seed), ("2 + 2?", 4, 9));
        assert_eq!(request.model, None);
    }

    #[test]
    fn a_public_task_that_is_no_question_is_the_rules_mistake() {
        for public in [
            json!({}),
            json!({"prompt": 3}),
            json!({"prompt": "x", "max_tokens": 0}),
            json!({"prompt": "x", "temperature": -1}),
            json!(null),
        ] {
            assert!(asked(&public).unwrap_err().contains("public"), "{public}");
        }
    }

    #[test]
    fn a_rule_that_miners_cannot_be_asked_by_is_refused_by_name() {
        let host = Program::new("/nowhere", &[]);
        let topic = Package::shipped("topic").unwrap();
        let refused = Exam::of_package(&topic, "m:f32", &host).unwrap_err();
        assert!(refused.to_string().contains("topic"), "{refused}");
        let open = Package::shipped("serve").unwrap();
        let refused = Exam::of_package(&open, "m:f32", &host).unwrap_err();
        assert!(matches!(refused, ExamError::NoModel), "{refused:?}");
    }
}
