//! One function a family: question text and right answer. `Level` is always a length.

use super::Level;
use super::sentence::word;
use super::words::{CATEGORIES, COLOURS, CONSONANTS, PEOPLE, THINGS, VOWELS};
use crate::prf::Prf;

/// `Q: say mola tir` → `mola tir`: `level` made-up words.
pub(super) fn copy(prf: &mut Prf, level: Level) -> (String, String) {
    let words = made_up_words(prf, level.size());
    (format!("Q: say {words}"), words)
}

/// A list of `level + 1` possessions and the question after one of them.
pub(super) fn extract(prf: &mut Prf, level: Level) -> (String, String) {
    let facts = facts(prf, level.size() + 1);
    let (person, thing) = facts[prf.index(facts.len())].clone();
    (format!("{}\nQ: what has {person}?", list(&facts)), thing)
}

/// `Q: mola tir in brackets` → `[mola tir]`: five formats over one, two or three made-up words.
pub(super) fn format(prf: &mut Prf, level: Level) -> (String, String) {
    let words = made_up_words(prf, level.size().div_ceil(2));
    let (demand, answer) = match prf.below(5) {
        0 => ("in brackets", format!("[{words}]")),
        1 => ("in quotes", format!("\"{words}\"")),
        2 => ("with commas", words.replace(' ', ", ")),
        3 => ("in capitals", words.to_ascii_uppercase()),
        _ => ("with dashes", words.replace(' ', "-")),
    };
    (format!("Q: {words} {demand}"), answer)
}

/// `Q: next: red key red key red` → `key`: a cycle of `level + 1` words, cut at a random place.
pub(super) fn next_in_pattern(prf: &mut Prf, level: Level) -> (String, String) {
    let period = level.size() + 1;
    let cycle = prf.sample(&PEOPLE, period);
    let shown = period + 2 + prf.index(period);
    let text: Vec<_> = cycle.iter().cycle().take(shown).copied().collect();
    (format!("Q: next: {}", text.join(" ")), cycle[shown % period].to_owned())
}

/// `Q: which is a place: cup mill red` → `mill`: one right word among `level + 1`.
pub(super) fn choose(prf: &mut Prf, level: Level) -> (String, String) {
    let right = prf.index(CATEGORIES.len());
    let (category, members) = CATEGORIES[right];
    let answer = word(prf, members);
    let mut options = vec![answer];
    while options.len() < level.size() + 1 {
        let other = (right + 1 + prf.index(CATEGORIES.len() - 1)) % CATEGORIES.len();
        let wrong = word(prf, CATEGORIES[other].1);
        if !options.contains(&wrong) {
            options.push(wrong);
        }
    }
    prf.shuffle(&mut options);
    (format!("Q: which is a {category}: {}", options.join(" ")), answer.to_owned())
}

/// `Q: how many b in a b b a` → `2`: `2 * level + 1` letters, at most nine of them the wanted one.
pub(super) fn count(prf: &mut Prf, level: Level) -> (String, String) {
    let length = 2 * level.size() + 1;
    let wanted = 1 + prf.index(length.min(9));
    let mut letters: Vec<_> = (0..length).map(|i| if i < wanted { "b" } else { "a" }).collect();
    prf.shuffle(&mut letters);
    (format!("Q: how many b in {}", letters.join(" ")), wanted.to_string())
}

/// A list of possessions like [`extract`]'s and a question after what someone in it did: the
/// question text and its subject.
pub(super) fn open(prf: &mut Prf) -> (String, &'static str) {
    let count = 2 + prf.index(3);
    let facts = facts(prf, count);
    let (subject, _) = facts[prf.index(count)];
    (format!("{}\nQ: what did {subject}?", list(&facts)), subject)
}

fn facts(prf: &mut Prf, count: usize) -> Vec<(&'static str, String)> {
    let people = prf.sample(&PEOPLE, count);
    people.into_iter().map(|who| (who, possession(prf))).collect()
}

fn possession(prf: &mut Prf) -> String {
    format!("{} {}", word(prf, &COLOURS), word(prf, &THINGS))
}

fn list(facts: &[(&str, String)]) -> String {
    let entries: Vec<_> = facts.iter().map(|(who, thing)| format!("{who}: {thing}")).collect();
    entries.join("; ")
}

fn made_up_words(prf: &mut Prf, count: usize) -> String {
    let words: Vec<_> = (0..count).map(|_| made_up_word(prf)).collect();
    words.join(" ")
}

/// Three letters, so that six words and their spaces stay within an answer's length.
fn made_up_word(prf: &mut Prf) -> String {
    let letters = [
        CONSONANTS[prf.index(CONSONANTS.len())],
        VOWELS[prf.index(VOWELS.len())],
        CONSONANTS[prf.index(CONSONANTS.len())],
    ];
    letters.iter().collect()
}
