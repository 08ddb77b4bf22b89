//! Fresh prompts from a seed: what an assistant is asked, never twice the same.

use crate::{Message, Prompt, Tokenizer, sample::philox};

const ASKS: [&str; 12] = [
    "Write a short story about",
    "Explain to a child",
    "Give me three unusual facts about",
    "Describe in vivid detail",
    "Write a letter of complaint about",
    "What would change if everyone understood",
    "List ideas for a workshop on",
    "Tell me how a historian would describe",
    "Write a dialogue between two neighbours about",
    "Argue both for and against",
    "Draft a newspaper column on",
    "Imagine a poem, and then explain it, about",
];

const SUBJECTS: [&str; 24] = [
    "a lighthouse keeper",
    "the first frost of the year",
    "a railway that nobody uses",
    "honey bees in a city",
    "an old sewing machine",
    "the price of bread",
    "a map with a mistake",
    "learning to swim late in life",
    "a clock tower",
    "wild garlic",
    "letters that never arrived",
    "a village orchestra",
    "river ice",
    "the smell of rain",
    "an apprentice carpenter",
    "a market at dawn",
    "broken umbrellas",
    "a school on an island",
    "migrating cranes",
    "the night shift",
    "a stubborn goat",
    "copper roofs",
    "a borrowed ladder",
    "salt",
];

const PLACES: [&str; 16] = [
    "in a port town",
    "in the mountains",
    "during a long winter",
    "in the year 1911",
    "as seen by a stranger",
    "next to a motorway",
    "after the flood",
    "on the last day of summer",
    "in a country with two languages",
    "when the power fails",
    "at the edge of a desert",
    "in a family of engineers",
    "before the railway came",
    "with a twist at the end",
    "for an audience of sailors",
    "in plain words",
];

/// The system prompt of a server that adds one of its own.
const ALTERED: &str = "You are a brisk assistant who answers on behalf of a travel agency.";

/// Words that are put before a prompt where the model knows no system prompts.
const ALTERED_PREFIX: &str = "Be brisk. ";

/// The text of prompt `index` of `seed`.
pub(super) fn text(seed: u64, index: u32) -> String {
    let words = philox([index, 0x7072_6f6d, 0, 0], crate::sample::halves(seed));
    let pick = |list: &[&'static str], word: u32| list[word as usize % list.len()];
    format!("{} {} {}.", pick(&ASKS, words[0]), pick(&SUBJECTS, words[1]), pick(&PLACES, words[2]))
}

/// A text as the model takes it: a chat where it has a template.
pub(super) fn prompt(tokenizer: &Tokenizer, text: &str) -> Prompt {
    if tokenizer.has_template() {
        Prompt::Chat(vec![message("user", text)])
    } else {
        Prompt::Text(text.to_owned())
    }
}

/// What a server makes of it that adds a system prompt of its own.
pub(super) fn altered(tokenizer: &Tokenizer, text: &str) -> Prompt {
    if tokenizer.has_template() {
        Prompt::Chat(vec![message("system", ALTERED), message("user", text)])
    } else {
        Prompt::Text(format!("{ALTERED_PREFIX}{text}"))
    }
}

fn message(role: &str, content: &str) -> Message {
    Message { role: role.to_owned(), content: content.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_come_from_the_seed_and_hardly_repeat() {
        let all: std::collections::BTreeSet<String> = (0..200).map(|i| text(5, i)).collect();
        assert!(all.len() > 180, "{}", all.len());
        assert_ne!(text(5, 0), text(6, 0));
        assert_eq!(text(5, 0), text(5, 0));
    }
}
