//! Which bytes each token is.

use serde_json::Value;

use super::TokenizerError;

/// One id of a vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spelt {
    /// Text, or a part of it: not always whole characters.
    Text(Vec<u8>),
    /// A token that is no text, by its name.
    Special(String),
    /// An id without a word.
    Unused,
}

/// How a token's name is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Each character stands for a byte (GPT-2's alphabet).
    ByteLevel,
    /// The name is the text, `<0xE4>` is a byte, and this character is a space.
    Pieces { space: char },
}

/// The words of ids below `vocab`.
pub(super) fn all(
    inner: &tokenizers::Tokenizer,
    vocab: usize,
) -> Result<Vec<Spelt>, TokenizerError> {
    let reading = Reading::of(inner)?;
    let added = inner.get_added_tokens_decoder();
    let word = |id: u32| match (added.get(&id), inner.id_to_token(id)) {
        (Some(token), _) if token.special => Spelt::Special(token.content.clone()),
        (Some(token), _) => Spelt::Text(token.content.clone().into_bytes()),
        (None, Some(name)) => reading.read(&name),
        (None, None) => Spelt::Unused,
    };
    Ok((0..).take(vocab).map(word).collect())
}

impl Reading {
    fn of(inner: &tokenizers::Tokenizer) -> Result<Self, TokenizerError> {
        let malformed =
            |source| TokenizerError::Settings { file: "the tokenizer's decoder", source };
        let decoder =
            inner.get_decoder().map(serde_json::to_value).transpose().map_err(malformed)?;
        let decoder = decoder.unwrap_or(Value::Null);
        let steps = match decoder["decoders"].as_array() {
            Some(steps) => steps.clone(),
            None => vec![decoder],
        };
        let kind = |step: &Value| step["type"].as_str().unwrap_or_default().to_owned();
        if steps.iter().any(|step| kind(step) == "ByteLevel") {
            return Ok(Self::ByteLevel);
        }
        let space = steps.iter().find_map(|step| match kind(step).as_str() {
            "Replace" if step["content"] == " " => {
                step["pattern"]["String"].as_str()?.chars().next()
            }
            "Metaspace" => step["replacement"].as_str()?.chars().next(),
            _ => None,
        });
        match space {
            Some(space) => Ok(Self::Pieces { space }),
            None => {
                Err(TokenizerError::Words(steps.iter().map(kind).collect::<Vec<_>>().join("+")))
            }
        }
    }

    fn read(self, name: &str) -> Spelt {
        match self {
            Self::ByteLevel => name
                .chars()
                .map(byte_of)
                .collect::<Option<_>>()
                .map_or_else(|| Spelt::Text(name.as_bytes().to_vec()), Spelt::Text),
            Self::Pieces { space } => {
                let hex = name.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
                match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                    Some(byte) => Spelt::Text(vec![byte]),
                    None => Spelt::Text(name.replace(space, " ").into_bytes()),
                }
            }
        }
    }
}

/// The byte that a character of GPT-2's alphabet stands for: printable Latin-1 stands for itself, and the
/// others follow from U+0100 on in their order.
fn byte_of(character: char) -> Option<u8> {
    let printable = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    match u32::from(character) {
        code @ 0..=0xff => u8::try_from(code).ok().filter(|byte| printable(*byte)),
        code => (0..=0xff).filter(|byte| !printable(*byte)).nth((code - 0x100) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_has_every_byte_once() {
        let mut bytes: Vec<u8> = (0..0x180).filter_map(|c| byte_of(char::from_u32(c)?)).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(
            (byte_of('Ġ'), byte_of('Ċ'), byte_of('é')),
            (Some(b' '), Some(b'\n'), Some(0xe9))
        );
    }

    #[test]
    fn pieces_are_text_spaces_and_bytes() {
        let reading = Reading::Pieces { space: '▁' };
        assert_eq!(reading.read("▁a▁"), Spelt::Text(b" a ".to_vec()));
        assert_eq!(reading.read("<0xE4>"), Spelt::Text(vec![0xe4]));
        assert_eq!(reading.read("<0xzz>"), Spelt::Text(b"<0xzz>".to_vec()));
    }
}
