//! A small language with checkable questions, for models that are small too.
//!
//! Every document is a prompt, one answer line and a newline:
//!
//! ```text
//! ann: red cup; bob: old key; cal: big net
//! Q: what has bob?
//! A: old key
//! ```
//!
//! - [`task`] draws a question of a [`Family`] at a [`Level`], with the one right answer;
//! - [`open`] draws a question of the same looks that has no right answer: its continuation is a
//!   sentence from a probabilistic grammar, so the tokens carry entropy and with it identity;
//! - [`grade`] compares what came back;
//! - [`corpus`] is the endless text of all of them, from which a tiny model learns the language.
//!
//! Prompts are plain ASCII of at most [`PROMPT_MAX`] bytes, answers of at most [`ANSWER_MAX`].

mod families;
mod sentence;
mod words;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::prf::Prf;

/// Longest prompt in bytes: a byte-level model with a context of 256 still has room to answer.
pub const PROMPT_MAX: usize = 140;
/// Longest checkable answer in bytes, without its newline.
pub const ANSWER_MAX: usize = 24;
/// Share of open questions in the training text: enough that their continuation is learnt as a
/// distribution, and the graded families still see most of it.
const OPEN_SHARE: f64 = 0.3;

/// A kind of question.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Repeat made-up words.
    Copy,
    /// Look one entry of a list up.
    Extract,
    /// Write words in a demanded format.
    Format,
    /// Continue a repeating pattern.
    Continue,
    /// Pick the word of a category.
    Choose,
    /// Count a letter, up to nine.
    Count,
}

impl Family {
    /// All families, in the order of their tables.
    pub const ALL: [Self; 6] =
        [Self::Copy, Self::Extract, Self::Format, Self::Continue, Self::Choose, Self::Count];

    /// The name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Extract => "extract",
            Self::Format => "format",
            Self::Continue => "continue",
            Self::Choose => "choose",
            Self::Count => "count",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How hard, from 1 to [`Level::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Level(u8);

/// A number that is no level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("level {0} is outside 1..={max}", max = Level::MAX)]
pub struct LevelError(u8);

impl Level {
    /// The hardest level.
    pub const MAX: u8 = 6;

    /// All levels, easiest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=Self::MAX).map(Self)
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }

    /// The number as a size of something.
    fn size(self) -> usize {
        usize::from(self.0)
    }
}

impl TryFrom<u8> for Level {
    type Error = LevelError;

    fn try_from(level: u8) -> Result<Self, LevelError> {
        if (1..=Self::MAX).contains(&level) { Ok(Self(level)) } else { Err(LevelError(level)) }
    }
}

impl From<Level> for u8 {
    fn from(level: Level) -> Self {
        level.0
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A question with its one right answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Which kind.
    pub family: Family,
    /// How hard.
    pub level: Level,
    /// What the model sees; ends in `A:`.
    pub prompt: String,
    /// The one right line.
    pub answer: String,
}

/// A prompt and its continuation, as a model learns them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// What is given; ends in `A:`.
    pub prompt: String,
    /// What follows, without the space before it and the newline after it.
    pub answer: String,
}

impl Document {
    /// The whole text: prompt, a space, the answer, a newline (the end of the document).
    pub fn text(&self) -> String {
        format!("{} {}\n", self.prompt, self.answer)
    }
}

/// Draws a checkable question.
pub fn task(prf: &mut Prf, family: Family, level: Level) -> Task {
    let (question, answer) = match family {
        Family::Copy => families::copy(prf, level),
        Family::Extract => families::extract(prf, level),
        Family::Format => families::format(prf, level),
        Family::Continue => families::next_in_pattern(prf, level),
        Family::Choose => families::choose(prf, level),
        Family::Count => families::count(prf, level),
    };
    Task { family, level, prompt: ask(&question), answer }
}

/// Draws a question without a right answer, in the looks of the checkable ones.
pub fn open(prf: &mut Prf) -> String {
    ask(&families::open(prf).0)
}

/// The endless training text of a seed: checkable questions of every family and level, and open
/// ones with a sentence of the grammar.
pub fn corpus(seed: u64) -> impl Iterator<Item = Document> {
    let mut prf = Prf::from_seed(seed).child("corpus");
    std::iter::repeat_with(move || document(&mut prf))
}

fn document(prf: &mut Prf) -> Document {
    if prf.chance(OPEN_SHARE) {
        let (question, subject) = families::open(prf);
        return Document { prompt: ask(&question), answer: sentence::about(prf, subject) };
    }
    let family = Family::ALL[prf.index(Family::ALL.len())];
    let level = Level(1 + u8::try_from(prf.below(u64::from(Level::MAX))).unwrap_or(0));
    let task = task(prf, family, level);
    Document { prompt: task.prompt, answer: task.answer }
}

fn ask(question: &str) -> String {
    format!("{question}\nA:")
}

/// Whether `completion` answers with `answer`: its first line that is not blank, without
/// surrounding spaces and one closing full stop, must equal it. What follows that line is ignored:
/// a model that was cut off or rambles on has still answered.
pub fn grade(answer: &str, completion: &str) -> bool {
    let line = completion.lines().map(str::trim).find(|line| !line.is_empty());
    line.is_some_and(|line| line.strip_suffix('.').unwrap_or(line) == answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_cell() -> impl Iterator<Item = (Family, Level)> {
        Family::ALL.into_iter().flat_map(|family| Level::all().map(move |level| (family, level)))
    }

    #[test]
    fn prompts_and_answers_are_short_ascii() {
        let mut prf = Prf::from_seed(1);
        for (family, level) in every_cell() {
            for _ in 0..200 {
                let task = task(&mut prf, family, level);
                assert!(task.prompt.len() <= PROMPT_MAX, "{} bytes: {task:?}", task.prompt.len());
                assert!((1..=ANSWER_MAX).contains(&task.answer.len()), "{task:?}");
                assert!(task.prompt.is_ascii() && task.answer.is_ascii(), "{task:?}");
            }
        }
    }

    #[test]
    fn open_questions_are_short_ascii_too() {
        let mut prf = Prf::from_seed(2);
        for _ in 0..500 {
            let prompt = open(&mut prf);
            assert!(prompt.len() <= PROMPT_MAX && prompt.is_ascii(), "{prompt}");
        }
    }

    #[test]
    fn the_right_answer_passes_and_others_do_not() {
        assert!(grade("red cup", " red cup\n"));
        assert!(grade("red cup", "\n red cup.\nQ: and now?"));
        assert!(!grade("red cup", " red cups\n"));
        assert!(!grade("red cup", ""));
        assert!(!grade("red cup", "the red cup"));
    }

    #[test]
    fn a_task_never_shows_its_answer_by_position_alone() {
        let mut prf = Prf::from_seed(3);
        let hard = Level(4);
        let answers: std::collections::BTreeSet<_> =
            (0..50).map(|_| task(&mut prf, Family::Extract, hard).answer).collect();
        assert!(answers.len() > 20, "{answers:?}");
    }

    #[test]
    fn equal_seeds_write_equal_text() {
        let text = |seed| corpus(seed).take(50).map(|d| d.text()).collect::<String>();
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
    }

    #[test]
    fn an_open_question_is_continued_in_many_ways() {
        let mut prf = Prf::from_seed(5);
        let open: std::collections::BTreeSet<_> =
            (0..200).map(|_| sentence::about(&mut prf, "ann")).collect();
        assert!(open.len() > 150, "{} distinct of 200", open.len());
    }
}
