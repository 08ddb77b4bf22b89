//! The probabilistic grammar of open answers: about six nats in a sentence of forty bytes.
//!
//! ```text
//! S     -> subject ACT [ LINK ACT ]
//! ACT   -> took NP [from PERSON] | gave NP to PERSON | went to the PLACE | saw PERSON [at the PLACE]
//!        | hid NP in the PLACE | fed the ANIMAL
//! NP    -> a [COLOUR] THING
//! ```

use super::words::{ANIMALS, COLOURS, PEOPLE, PLACES, THINGS};
use crate::prf::Prf;

/// Chance of a second clause.
const SECOND_CLAUSE: f64 = 0.5;
/// Chance that an optional part is present.
const OPTION: f64 = 0.5;
/// Words that join two clauses.
const LINKS: [&str; 3] = ["and", "then", "but"];

/// A sentence about `subject`.
pub(super) fn about(prf: &mut Prf, subject: &str) -> String {
    let mut sentence = format!("{subject} {}", act(prf));
    if prf.chance(SECOND_CLAUSE) {
        sentence = format!("{sentence} {} {}", word(prf, &LINKS), act(prf));
    }
    sentence
}

fn act(prf: &mut Prf) -> String {
    match prf.below(6) {
        0 => format!("took {}{}", thing(prf), option(prf, "from", &PEOPLE)),
        1 => format!("gave {} to {}", thing(prf), word(prf, &PEOPLE)),
        2 => format!("went to the {}", word(prf, &PLACES)),
        3 => format!("saw {}{}", word(prf, &PEOPLE), option(prf, "at the", &PLACES)),
        4 => format!("hid {} in the {}", thing(prf), word(prf, &PLACES)),
        _ => format!("fed the {}", word(prf, &ANIMALS)),
    }
}

fn thing(prf: &mut Prf) -> String {
    if prf.chance(OPTION) {
        format!("a {} {}", word(prf, &COLOURS), word(prf, &THINGS))
    } else {
        format!("a {}", word(prf, &THINGS))
    }
}

fn option(prf: &mut Prf, lead: &str, words: &[&str]) -> String {
    if prf.chance(OPTION) { format!(" {lead} {}", word(prf, words)) } else { String::new() }
}

/// A word of a list that is never empty.
pub(super) fn word<'a>(prf: &mut Prf, words: &[&'a str]) -> &'a str {
    words[prf.index(words.len())]
}
