//! `SentencePiece` vocabularies from GGUF files: pieces with scores, put together by merging the best
//! pair (`llama`) or by the likeliest cut (`t5`), as llama.cpp does.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use aho_corasick::{AhoCorasick, MatchKind};

use super::{Spelt, TokenizerError};

/// What a vocabulary's blanks are written as.
const BLANK: &str = "▁";

/// How pieces are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// Neighbours are merged, the pair of the highest score first, the leftmost of equals.
    Merges,
    /// The cut of the highest sum of scores.
    Likeliest,
}

/// Kinds of words in a GGUF file.
pub(super) mod kind {
    pub(in crate::tokenizer) const UNKNOWN: i64 = 2;
    pub(in crate::tokenizer) const CONTROL: i64 = 3;
    pub(in crate::tokenizer) const USER_DEFINED: i64 = 4;
    pub(in crate::tokenizer) const UNUSED: i64 = 5;
    pub(in crate::tokenizer) const BYTE: i64 = 6;
}

/// What a file says of such a vocabulary.
pub(super) struct Description {
    pub(super) method: Method,
    pub(super) tokens: Vec<String>,
    pub(super) scores: Vec<f32>,
    pub(super) kinds: Vec<i64>,
    pub(super) unknown: Option<u32>,
    pub(super) space_prefix: bool,
    pub(super) squeezes_blanks: bool,
    /// Special words swallow the blanks behind them (Phi 3).
    pub(super) strips_right: bool,
}

/// A vocabulary, ready to encode.
pub(super) struct Pieces {
    said: Description,
    ids: HashMap<String, u32>,
    specials: Option<AhoCorasick>,
    special_ids: Vec<u32>,
    /// Ids of single bytes.
    bytes: [Option<u32>; 256],
    /// Bytes of the longest piece.
    longest: usize,
    /// Score of an unknown letter where cuts are weighed.
    unknown_score: f64,
}

impl Pieces {
    pub(super) fn new(said: Description) -> Result<Self, TokenizerError> {
        let count = said.tokens.len();
        for (what, found) in [("scores", said.scores.len()), ("token types", said.kinds.len())] {
            if found != count {
                return Err(TokenizerError::Lengths { what, found, words: count });
            }
        }
        let ids: HashMap<String, u32> =
            (0..).zip(&said.tokens).map(|(id, t)| (t.clone(), id)).collect();
        let special = |id: &u32| {
            let kind = said.kinds[*id as usize];
            [kind::UNKNOWN, kind::CONTROL, kind::USER_DEFINED].contains(&kind)
                && !said.tokens[*id as usize].is_empty()
        };
        let words = u32::try_from(count).unwrap_or(u32::MAX);
        let special_ids: Vec<u32> = (0..words).filter(special).collect();
        let texts = special_ids.iter().map(|&id| &said.tokens[id as usize]);
        let specials = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(texts)
            .map_err(|error| TokenizerError::Inner(Box::new(error)))?;
        let specials = (!special_ids.is_empty()).then_some(specials);
        let byte = |byte: usize| {
            let named = ids.get(&format!("<0x{byte:02X}>"));
            let plain =
                u8::try_from(byte).ok().filter(u8::is_ascii).map(|b| char::from(b).to_string());
            named.or_else(|| ids.get(&plain?)).copied()
        };
        let bytes = std::array::from_fn(byte);
        let longest = said.tokens.iter().map(String::len).max().unwrap_or(0);
        let least = said.scores.iter().copied().fold(f32::INFINITY, f32::min);
        let unknown_score = f64::from(least) - 10.0;
        Ok(Self { said, ids, specials, special_ids, bytes, longest, unknown_score })
    }

    /// What an id is spelt as.
    pub(super) fn spelt(&self, id: u32) -> Spelt {
        let at = id as usize;
        let (Some(token), Some(kind)) = (self.said.tokens.get(at), self.said.kinds.get(at)) else {
            return Spelt::Unused;
        };
        match *kind {
            kind::UNKNOWN | kind::CONTROL => Spelt::Special(token.clone()),
            kind::UNUSED => Spelt::Unused,
            kind::BYTE => {
                let byte = self.bytes.iter().position(|known| *known == Some(id));
                let byte = byte.and_then(|byte| u8::try_from(byte).ok());
                Spelt::Text(byte.map_or_else(|| token.clone().into_bytes(), |byte| vec![byte]))
            }
            _ => Spelt::Text(token.replace(BLANK, " ").into_bytes()),
        }
    }

    pub(super) fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    /// Ids of a text; special words in it become their ids.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        let mut from = 0;
        let mut after_special = true;
        for (start, end, special) in self.special_places(text) {
            self.encode_part(&text[from.min(start)..start], &mut after_special, &mut ids);
            ids.push(special);
            after_special = true;
            from = end;
        }
        self.encode_part(&text[from..], &mut after_special, &mut ids);
        ids
    }

    /// Where special words lie, without overlaps.
    fn special_places(&self, text: &str) -> Vec<(usize, usize, u32)> {
        let Some(specials) = &self.specials else { return Vec::new() };
        let place = |found: aho_corasick::Match| {
            let mut end = found.end();
            let id = self.special_ids[found.pattern().as_usize()];
            if self.said.strips_right && !NEVER_STRIPS.contains(&&*self.said.tokens[id as usize]) {
                let rest = &text[end..];
                end += rest.len()
                    - rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']).len();
            }
            (found.start(), end, id)
        };
        specials.find_iter(text).map(place).collect()
    }

    fn encode_part(&self, part: &str, after_special: &mut bool, ids: &mut Vec<u32>) {
        if part.is_empty() {
            return;
        }
        let prefix = if self.said.space_prefix && *after_special { " " } else { "" };
        *after_special = false;
        let text = match self.said.method {
            Method::Likeliest if self.said.squeezes_blanks => {
                let words: Vec<&str> = part.split(' ').filter(|word| !word.is_empty()).collect();
                if words.is_empty() {
                    return;
                }
                format!("{prefix}{}", words.join(" "))
            }
            Method::Merges | Method::Likeliest => format!("{prefix}{part}"),
        };
        let text = text.replace(' ', BLANK);
        match self.said.method {
            Method::Merges => self.merge(&text, ids),
            Method::Likeliest => self.cut(&text, ids),
        }
    }

    fn merge(&self, text: &str, ids: &mut Vec<u32>) {
        let mut symbols: Vec<Symbol> = text
            .char_indices()
            .enumerate()
            .map(|(index, (start, c))| Symbol {
                start,
                end: start + c.len_utf8(),
                before: index.checked_sub(1),
                after: index + 1,
            })
            .collect();
        let mut queue = BinaryHeap::new();
        for left in 1..symbols.len() {
            self.consider(text, &symbols, left - 1, &mut queue);
        }
        while let Some(Pair { left: Reverse(left), end, .. }) = queue.pop() {
            let right = symbols[left].after;
            // Either side may have been merged since.
            let stale = symbols[left].start == symbols[left].end
                || right >= symbols.len()
                || symbols[right].end != end.end
                || symbols[left].end != end.middle;
            if stale {
                continue;
            }
            symbols[left].end = end.end;
            let after = symbols[right].after;
            symbols[right].end = symbols[right].start;
            symbols[left].after = after;
            if after < symbols.len() {
                symbols[after].before = Some(left);
                self.consider(text, &symbols, left, &mut queue);
            }
            if let Some(before) = symbols[left].before {
                self.consider(text, &symbols, before, &mut queue);
            }
        }
        let mut at = 0;
        while at < symbols.len() {
            let piece = &text[symbols[at].start..symbols[at].end];
            match self.id(piece) {
                Some(id) => ids.push(id),
                None => self.spell(piece, ids),
            }
            at = symbols[at].after;
        }
    }

    /// Queues the pair that begins at symbol `left`, where it is a piece.
    fn consider(&self, text: &str, symbols: &[Symbol], left: usize, queue: &mut BinaryHeap<Pair>) {
        let (a, b) = (&symbols[left], &symbols[symbols[left].after]);
        if b.end - a.start > self.longest {
            return;
        }
        if let Some(id) = self.id(&text[a.start..b.end]) {
            let score = Score(self.said.scores[id as usize]);
            let end = Ends { middle: a.end, end: b.end };
            queue.push(Pair { score, left: Reverse(left), end });
        }
    }

    /// Bytes of a letter that is no piece.
    fn spell(&self, piece: &str, ids: &mut Vec<u32>) {
        for byte in piece.bytes() {
            ids.extend(self.bytes[usize::from(byte)].or(self.said.unknown));
        }
    }

    /// Viterbi over the places between letters.
    fn cut(&self, text: &str, ids: &mut Vec<u32>) {
        #[derive(Clone, Copy)]
        struct Best {
            score: f64,
            from: usize,
            id: Option<u32>,
        }
        let nothing = Best { score: f64::NEG_INFINITY, from: 0, id: None };
        let mut best = vec![nothing; text.len() + 1];
        best[0].score = 0.0;
        let places: Vec<usize> =
            text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        for (index, &at) in places.iter().enumerate() {
            let here = best[at].score;
            for (step, &end) in places[index + 1..].iter().enumerate() {
                if end - at > self.longest && step > 0 {
                    break;
                }
                let id = self.id(&text[at..end]).filter(|&id| self.is_piece(id));
                let score = match id {
                    Some(id) if self.said.kinds[id as usize] == kind::USER_DEFINED => 0.0,
                    Some(id) => f64::from(self.said.scores[id as usize]),
                    None if step == 0 => self.unknown_score,
                    None => continue,
                };
                if here + score > best[end].score {
                    best[end] = Best { score: here + score, from: at, id };
                }
            }
        }
        let (mut at, mut found) = (text.len(), Vec::new());
        while at > 0 {
            let id = best[at].id.or(self.said.unknown);
            // Unknown letters in a row are one unknown word.
            if best[at].id.is_some() || found.last() != id.as_ref() {
                found.extend(id);
            }
            at = best[at].from;
        }
        ids.extend(found.into_iter().rev());
    }

    fn is_piece(&self, id: u32) -> bool {
        let kind = self.said.kinds[id as usize];
        ![kind::UNKNOWN, kind::CONTROL, kind::UNUSED].contains(&kind)
    }

    /// Text of `ids`, words of control left out, invalid UTF-8 replaced.
    pub(super) fn decode(&self, ids: &[u32]) -> String {
        let mut bytes = Vec::new();
        for &id in ids {
            let Some(token) = self.said.tokens.get(id as usize) else { continue };
            match self.said.kinds[id as usize] {
                kind::UNKNOWN | kind::CONTROL | kind::UNUSED => {}
                kind::USER_DEFINED => bytes.extend(token.bytes()),
                kind::BYTE => bytes.extend(byte_of(token)),
                _ => bytes.extend(token.replace(BLANK, " ").bytes()),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(super) const fn words(&self) -> usize {
        self.said.tokens.len()
    }
}

/// Special words of Phi 3 that leave the blanks behind them alone.
const NEVER_STRIPS: [&str; 3] = ["<unk>", "<s>", "<|endoftext|>"];

/// The byte that `<0x0A>` stands for.
fn byte_of(token: &str) -> Option<u8> {
    let hex = token.strip_prefix("<0x")?.strip_suffix('>')?;
    u8::from_str_radix(hex, 16).ok()
}

/// A run of letters; empty once it is merged into the one before.
struct Symbol {
    start: usize,
    end: usize,
    before: Option<usize>,
    after: usize,
}

/// Two neighbours that are a piece together. The greatest is merged first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    score: Score,
    left: Reverse<usize>,
    end: Ends,
}

/// Where the halves of a pair ended when it was found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ends {
    middle: usize,
    end: usize,
}

struct Score(f32);

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}
