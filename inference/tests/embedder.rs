//! Encoders: against the same arithmetic written with candle's operators, and against `MiniLM` itself.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::{collections::HashMap, path::Path, sync::Arc};

use candle_core::{D, DType, Device, Tensor};
use candle_nn::{LayerNorm, Linear, Module as _, ops::softmax_last_dim};
use inference::{EmbedError, Embedder, LoadError, ModelSource, Passage};

const WIDTH: usize = 64;
const HEADS: usize = 2;
const FFN: usize = 96;
const LAYERS: usize = 2;
const POSITIONS: usize = 40;

fn write_random_bert(dir: &Path) {
    let config = serde_json::json!({
        "model_type": "bert", "hidden_size": WIDTH, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "intermediate_size": FFN, "vocab_size": 257,
        "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
    });
    let mut tensors = vec![
        ("embeddings.word_embeddings.weight".to_owned(), 257, WIDTH),
        ("embeddings.position_embeddings.weight".to_owned(), POSITIONS, WIDTH),
        ("embeddings.token_type_embeddings.weight".to_owned(), 2, WIDTH),
    ];
    let mut vectors = vec![("embeddings.LayerNorm".to_owned(), WIDTH)];
    for layer in 0..LAYERS {
        let part = |name: &str| format!("encoder.layer.{layer}.{name}");
        for (name, rows, cols) in [
            ("attention.self.query", WIDTH, WIDTH),
            ("attention.self.key", WIDTH, WIDTH),
            ("attention.self.value", WIDTH, WIDTH),
            ("attention.output.dense", WIDTH, WIDTH),
            ("intermediate.dense", FFN, WIDTH),
            ("output.dense", WIDTH, FFN),
        ] {
            tensors.push((format!("{}.weight", part(name)), rows, cols));
            tensors.push((format!("{}.bias", part(name)), 0, rows));
        }
        vectors.push((part("attention.output.LayerNorm"), WIDTH));
        vectors.push((part("output.LayerNorm"), WIDTH));
    }
    for (name, width) in vectors {
        tensors.push((format!("{name}.weight"), 0, width));
        tensors.push((format!("{name}.bias"), 0, width));
    }
    support::write(dir, &config.to_string(), tensors);
}

fn random() -> (tempfile::TempDir, Arc<Embedder>) {
    let dir = tempfile::tempdir().unwrap();
    write_random_bert(dir.path());
    let embedder = Embedder::load(&ModelSource::Path(dir.path().to_owned()), Some(1)).unwrap();
    (dir, Arc::new(embedder))
}

/// The same model with candle's operators: the mean of its tokens, of length 1.
struct Reference(HashMap<String, Tensor>);

impl Reference {
    fn linear(&self, name: &str, x: &Tensor) -> Tensor {
        let get = |kind: &str| self.0[&format!("{name}.{kind}")].clone();
        Linear::new(get("weight"), Some(get("bias"))).forward(x).unwrap()
    }

    fn norm(&self, name: &str, x: &Tensor) -> Tensor {
        let get = |kind: &str| self.0[&format!("{name}.{kind}")].clone();
        LayerNorm::new(get("weight"), get("bias"), 1e-12).forward(x).unwrap()
    }

    fn embed(&self, tokens: &[u32]) -> candle_core::Result<Vec<f32>> {
        let table = |name: &str| &self.0[&format!("embeddings.{name}.weight")];
        let ids = Tensor::new(tokens, &Device::Cpu)?;
        let mut x = table("word_embeddings").index_select(&ids, 0)?;
        x = (x + table("position_embeddings").narrow(0, 0, tokens.len())?)?;
        x = x.broadcast_add(&table("token_type_embeddings").narrow(0, 0, 1)?)?;
        x = self.norm("embeddings.LayerNorm", &x);
        let heads = |x: Tensor| {
            x.reshape((tokens.len(), HEADS, WIDTH / HEADS))?.transpose(0, 1)?.contiguous()
        };
        for layer in 0..LAYERS {
            let part = |name: &str| format!("encoder.layer.{layer}.{name}");
            let q = heads(self.linear(&part("attention.self.query"), &x))?;
            let k = heads(self.linear(&part("attention.self.key"), &x))?;
            let v = heads(self.linear(&part("attention.self.value"), &x))?;
            let scale = f64::from(u16::try_from(WIDTH / HEADS).unwrap()).sqrt().recip();
            let scores = (q.matmul(&k.t()?)? * scale)?;
            let mixed = softmax_last_dim(&scores)?.matmul(&v)?;
            let mixed = mixed.transpose(0, 1)?.reshape((tokens.len(), WIDTH))?;
            let out = (self.linear(&part("attention.output.dense"), &mixed) + &x)?;
            x = self.norm(&part("attention.output.LayerNorm"), &out);
            let up = self.linear(&part("intermediate.dense"), &x).gelu_erf()?;
            let out = (self.linear(&part("output.dense"), &up) + &x)?;
            x = self.norm(&part("output.LayerNorm"), &out);
        }
        let mean = x.mean(0)?.to_dtype(DType::F64)?;
        let norm = mean.sqr()?.sum(D::Minus1)?.sqrt()?;
        mean.broadcast_div(&norm)?.to_dtype(DType::F32)?.to_vec1()
    }
}

#[tokio::test]
async fn vectors_are_those_of_the_same_arithmetic_in_candle() {
    let (dir, embedder) = random();
    let weights = dir.path().join("model.safetensors");
    let reference = Reference(candle_core::safetensors::load(weights, &Device::Cpu).unwrap());
    for text in ["a", "A cat sits on the mat.", "forty bytes make forty tokens, no more...."] {
        let tokens: Vec<u32> = text.bytes().map(u32::from).take(POSITIONS).collect();
        let want = reference.embed(&tokens).unwrap();
        let got = embedder.embed(vec![Passage::Tokens(tokens)]).await.unwrap().remove(0).vector;
        let worst = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(got.len() == WIDTH && worst < 2e-5, "{text}: {worst}");
    }
}

#[tokio::test]
async fn a_vector_does_not_depend_on_what_is_asked_beside_it_nor_on_threads() {
    let (dir, embedder) = random();
    let source = ModelSource::Path(dir.path().to_owned());
    let two = Arc::new(Embedder::load(&source, Some(2)).unwrap());
    assert_eq!(two.id(), embedder.id());
    let text = |text: &str| Passage::Text(text.to_owned());
    let alone = embedder.embed(vec![text("one")]).await.unwrap().remove(0);
    let many = vec![text("two and more words"), text("one"), text("three")];
    assert_eq!(embedder.embed(many.clone()).await.unwrap()[1], alone);
    assert_eq!(two.embed(many).await.unwrap()[1], alone);
}

#[tokio::test]
async fn what_cannot_be_embedded_is_refused_by_its_place() {
    let (_dir, embedder) = random();
    let fine = || Passage::Text("fine".into());
    let refused = |bad: Passage| {
        let embedder = Arc::clone(&embedder);
        async move { embedder.embed(vec![fine(), bad]).await.unwrap_err() }
    };
    assert!(matches!(refused(Passage::Text(String::new())).await, EmbedError::Empty { index: 1 }));
    let long = refused(Passage::Text("x".repeat(POSITIONS + 1))).await;
    assert!(matches!(long, EmbedError::TooLong { index: 1, tokens: 41, context: POSITIONS }));
    let unknown = refused(Passage::Tokens(vec![5, 257])).await;
    assert!(matches!(unknown, EmbedError::UnknownToken { index: 1, token: 257, vocab: 257 }));
}

#[test]
fn a_decoder_makes_no_embeddings_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    support::write_random_llama(dir.path());
    let refused = Embedder::load(&ModelSource::Path(dir.path().to_owned()), None).unwrap_err();
    assert!(matches!(refused, LoadError::Config { .. }), "{refused}");
}

/// Similarities of all-MiniLM-L6-v2 as its own card computes them.
#[tokio::test]
#[ignore = "needs the folder of all-MiniLM-L6-v2 in GANGLION_MINILM"]
async fn minilm_finds_the_kitten_near_the_cat() {
    let folder = std::env::var_os("GANGLION_MINILM").unwrap();
    let embedder = Arc::new(Embedder::load(&ModelSource::Path(folder.into()), None).unwrap());
    let texts =
        ["A cat sits on the mat.", "A kitten rests on a rug.", "The stock market fell sharply."];
    let passages = texts.map(|text| Passage::Text(text.to_owned())).to_vec();
    let vectors: Vec<_> =
        embedder.embed(passages).await.unwrap().into_iter().map(|done| done.vector).collect();
    let cos = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    assert!((cos(&vectors[0], &vectors[1]) - 0.6654).abs() < 1e-3);
    assert!((cos(&vectors[0], &vectors[2]) - 0.0815).abs() < 1e-3);
}
