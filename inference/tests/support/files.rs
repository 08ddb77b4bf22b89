//! Checkpoint files from descriptions in JSON, and files with one thing changed.
#![expect(clippy::cast_possible_truncation, reason = "numbers of JSON are f64, those of files f32")]

use std::{collections::BTreeMap, path::Path};

use safetensors::{Dtype, tensor::TensorView};
use serde_json::Value;

/// Values of a tensor: `offset + scale·u`, u in [−1, 1) from `SplitMix64` begun at FNV-1a of its name.
fn values(spec: &Value) -> Vec<f32> {
    let number = |key: &str| spec[key].as_f64().unwrap_or(0.0);
    let mut state =
        spec["name"].as_str().unwrap().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let mut unit = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u16::try_from((z ^ (z >> 31)) >> 48).unwrap()) / 32_768.0 - 1.0
    };
    let count: usize = shape(spec).iter().product();
    (0..count).map(|_| (number("offset") + number("scale") * unit()) as f32).collect()
}

fn shape(spec: &Value) -> Vec<usize> {
    let sizes = spec["shape"].as_array().unwrap();
    sizes.iter().map(|size| usize::try_from(size.as_u64().unwrap()).unwrap()).collect()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A tensor of a safetensors file.
#[derive(Clone)]
pub(crate) struct Tensor {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// Tensors of a case by name.
pub(crate) fn tensors(case: &Value) -> BTreeMap<String, Tensor> {
    let named = case["tensors"].as_array().unwrap().iter().map(|spec| {
        let tensor = Tensor { dtype: Dtype::F32, shape: shape(spec), bytes: bytes(&values(spec)) };
        (spec["name"].as_str().unwrap().to_owned(), tensor)
    });
    named.collect()
}

/// Writes a safetensors file.
pub(crate) fn write_safetensors(path: &Path, tensors: &BTreeMap<String, Tensor>) {
    let views = tensors.iter().map(|(name, tensor)| {
        let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).unwrap();
        (name.as_str(), view)
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Writes a Hugging Face folder.
pub(crate) fn write_hub(dir: &Path, case: &Value) {
    std::fs::write(dir.join("config.json"), case["config"].to_string()).unwrap();
    std::fs::write(dir.join("tokenizer.json"), super::byte_tokenizer()).unwrap();
    write_safetensors(&dir.join("model.safetensors"), &tensors(case));
}

/// A GGUF value.
#[derive(Clone)]
pub(crate) enum Entry {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
}

impl From<&str> for Entry {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A GGUF file before it is written.
#[derive(Clone)]
pub(crate) struct Gguf {
    pub(crate) version: u32,
    pub(crate) entries: BTreeMap<String, Entry>,
    /// Shape (innermost first), type and bytes by name.
    pub(crate) tensors: BTreeMap<String, (Vec<u64>, u32, Vec<u8>)>,
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

fn array(kind: u32, count: usize, items: &[u8]) -> (u32, Vec<u8>) {
    (9, [&kind.to_le_bytes()[..], &(count as u64).to_le_bytes(), items].concat())
}

impl Entry {
    fn encoded(&self) -> (u32, Vec<u8>) {
        match self {
            Self::U32(number) => (4, number.to_le_bytes().to_vec()),
            Self::F32(number) => (6, number.to_le_bytes().to_vec()),
            Self::Bool(flag) => (7, vec![u8::from(*flag)]),
            Self::Text(value) => (8, text(value)),
            Self::Texts(all) => {
                array(8, all.len(), &all.iter().flat_map(|t| text(t)).collect::<Vec<u8>>())
            }
            Self::I32s(all) => {
                array(5, all.len(), &all.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>())
            }
            Self::F32s(all) => {
                array(6, all.len(), &all.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>())
            }
        }
    }
}

impl Gguf {
    /// The file that a case describes, with bytes for words.
    pub(crate) fn of(case: &Value) -> Self {
        let mut entries = BTreeMap::new();
        for (key, entry) in case["metadata"].as_object().unwrap() {
            let value = &entry["value"];
            let entry = match entry["type"].as_str().unwrap() {
                "u32" => Entry::U32(u32::try_from(value.as_u64().unwrap()).unwrap()),
                "f32" => Entry::F32(value.as_f64().unwrap() as f32),
                "bool" => Entry::Bool(value.as_bool().unwrap()),
                _ => Entry::from(value.as_str().unwrap()),
            };
            entries.insert(key.clone(), entry);
        }
        let mut words: Vec<String> = super::byte_words();
        words.push("<|endoftext|>".to_owned());
        let kinds = (0..257).map(|id| if id == 256 { 3 } else { 1 }).collect();
        for (key, entry) in [
            ("model", Entry::from("gpt2")),
            ("pre", Entry::from("gpt-2")),
            ("tokens", Entry::Texts(words)),
            ("token_type", Entry::I32s(kinds)),
            ("merges", Entry::Texts(Vec::new())),
            ("eos_token_id", Entry::U32(256)),
        ] {
            entries.insert(format!("tokenizer.ggml.{key}"), entry);
        }
        let tensors = case["tensors"].as_array().unwrap().iter().map(tensor).collect();
        Self { version: 3, entries, tensors }
    }

    pub(crate) fn set(&mut self, key: &str, entry: impl Into<Entry>) {
        self.entries.insert(key.to_owned(), entry.into());
    }

    pub(crate) fn write(&self, path: &Path) {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.entries.len() as u64).to_le_bytes());
        for (key, entry) in &self.entries {
            let (kind, value) = entry.encoded();
            out.extend([text(key), kind.to_le_bytes().to_vec(), value].concat());
        }
        let mut data = Vec::new();
        for (name, (shape, kind, bytes)) in &self.tensors {
            out.extend(text(name));
            out.extend(u32::try_from(shape.len()).unwrap().to_le_bytes());
            out.extend(shape.iter().flat_map(|size| size.to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend((data.len() as u64).to_le_bytes());
            data.extend(bytes);
            data.resize(data.len().next_multiple_of(32), 0);
        }
        out.resize(out.len().next_multiple_of(32), 0);
        out.extend(data);
        std::fs::write(path, out).unwrap();
    }
}

fn tensor(spec: &Value) -> (String, (Vec<u64>, u32, Vec<u8>)) {
    let name = spec["gguf"].as_str().unwrap().to_owned();
    if let Some(list) = spec["values"].as_array() {
        let values: Vec<f32> = list.iter().map(|v| v.as_f64().unwrap() as f32).collect();
        return (name, (vec![values.len() as u64], 0, bytes(&values)));
    }
    let parts = spec["parts"].as_array().unwrap();
    let mut sizes: Vec<u64> = shape(&parts[0]).iter().rev().map(|&size| size as u64).collect();
    if spec["stacked"] == true {
        sizes.push(parts.len() as u64);
    }
    (name, (sizes, 0, bytes(&parts.iter().flat_map(part).collect::<Vec<f32>>())))
}

fn part(spec: &Value) -> Vec<f32> {
    let plus = spec["plus"].as_f64().unwrap_or(0.0) as f32;
    let mut all = values(spec);
    for value in &mut all {
        *value += plus;
    }
    let Some(head_dim) = spec["interleave"].as_u64() else { return all };
    let (rows, head_dim) = (shape(spec)[0], usize::try_from(head_dim).unwrap());
    let stride = all.len() / rows;
    // Row (half, pair) of a head goes to (pair, half).
    let from = |row: usize| {
        let (head, within) = (row / head_dim, row % head_dim);
        head * head_dim + within % 2 * (head_dim / 2) + within / 2
    };
    (0..rows).flat_map(|row| all[from(row) * stride..][..stride].to_vec()).collect()
}
