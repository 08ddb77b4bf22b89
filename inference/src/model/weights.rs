//! A decoder's tensors, wherever they are kept.

use crate::{
    config::{Config, HeadNorm},
    load::{Encoded, LoadError, Loader},
};

/// Where a tensor is put once it is read.
pub(crate) trait Shelf {
    /// A matrix, ready for products.
    type Matrix;
    /// A norm's weights or a bias.
    type Vector;

    fn matrix(&self, encoded: &Encoded) -> Result<Self::Matrix, LoadError>;
    fn vector(&self, values: Vec<f32>) -> Result<Self::Vector, LoadError>;
}

/// No place at all: to see which tensors a model takes, and of what shape.
pub(crate) struct Nowhere;

impl Shelf for Nowhere {
    type Matrix = ();
    type Vector = ();

    fn matrix(&self, _: &Encoded) -> Result<(), LoadError> {
        Ok(())
    }

    fn vector(&self, _: Vec<f32>) -> Result<(), LoadError> {
        Ok(())
    }
}

/// All tensors.
#[derive(Debug)]
pub(crate) struct Weights<M, V> {
    pub(crate) embedding: M,
    pub(crate) layers: Vec<Layer<M, V>>,
    pub(crate) norm: V,
    /// `None`: the embedding serves as the head.
    pub(crate) head: Option<M>,
}

/// One layer's tensors.
#[derive(Debug)]
pub(crate) struct Layer<M, V> {
    pub(crate) attention_norm: Option<V>,
    pub(crate) qkv: M,
    pub(crate) qkv_bias: Option<V>,
    pub(crate) head_norms: Option<HeadNorms<V>>,
    pub(crate) output: M,
    pub(crate) output_bias: Option<V>,
    /// Over what attention adds.
    pub(crate) after_attention: Option<V>,
    pub(crate) ffn_norm: Option<V>,
    pub(crate) feed: Feed<M, V>,
    /// Over what the feed-forward layer adds.
    pub(crate) after_ffn: Option<V>,
}

/// What follows attention.
#[derive(Debug)]
pub(crate) enum Feed<M, V> {
    Dense(Dense<M, V>),
    Experts { router: M, experts: Vec<Dense<M, V>> },
}

/// A gated feed-forward layer.
#[derive(Debug)]
pub(crate) struct Dense<M, V> {
    pub(crate) gate_up: M,
    pub(crate) gate_up_bias: Option<V>,
    pub(crate) down: M,
    pub(crate) down_bias: Option<V>,
}

/// Norms over the queries and keys.
#[derive(Debug)]
pub(crate) struct HeadNorms<V> {
    pub(crate) query: V,
    pub(crate) key: V,
}

/// What the plainest layer has.
#[derive(Debug)]
pub(crate) struct Plain<'a, M, V> {
    pub(crate) attention_norm: &'a V,
    pub(crate) ffn_norm: &'a V,
    pub(crate) gate_up: &'a M,
    pub(crate) down: &'a M,
}

impl<M, V> Layer<M, V> {
    /// The parts of a layer as [`Config::beyond_plain`] describes it; `None` for others.
    pub(crate) fn plain(&self) -> Option<Plain<'_, M, V>> {
        let Feed::Dense(Dense { gate_up, down, .. }) = &self.feed else { return None };
        let (attention_norm, ffn_norm) = (self.attention_norm.as_ref()?, self.ffn_norm.as_ref()?);
        Some(Plain { attention_norm, ffn_norm, gate_up, down })
    }

    fn matrices(&self) -> impl Iterator<Item = &M> {
        let (router, dense) = match &self.feed {
            Feed::Dense(dense) => (None, std::slice::from_ref(dense)),
            Feed::Experts { router, experts } => (Some(router), experts.as_slice()),
        };
        let feed = dense.iter().flat_map(|dense| [&dense.gate_up, &dense.down]);
        [&self.qkv, &self.output].into_iter().chain(router).chain(feed)
    }
}

impl<M, V> Weights<M, V> {
    /// Every matrix.
    pub(crate) fn matrices(&self) -> impl Iterator<Item = &M> {
        let layers = self.layers.iter().flat_map(Layer::matrices);
        layers.chain([&self.embedding]).chain(&self.head)
    }

    /// Reads every tensor in canonical order, and shelves it.
    pub(crate) fn read(
        loader: &mut Loader,
        config: &Config,
        shelf: &impl Shelf<Matrix = M, Vector = V>,
    ) -> Result<Self, LoadError> {
        let (width, vocab) = (config.width, config.vocab);
        let embedding =
            shelf.matrix(&loader.words("model.embed_tokens.weight", vocab, width)?)?;
        let layers = (0..config.layers)
            .map(|index| Reading { loader, config, shelf, index }.layer())
            .collect::<Result<_, _>>()?;
        let norm = shelf.vector(loader.norm("model.norm.weight", width, config)?)?;
        let is_tied = config.parts.tied.unwrap_or_else(|| !loader.has(HEAD));
        let head = if is_tied {
            // Files of tied models may hold a copy, or what was there before it was tied.
            loader.pass_over(HEAD);
            None
        } else {
            Some(shelf.matrix(&loader.words(HEAD, vocab, width)?)?)
        };
        Ok(Self { embedding, layers, norm, head })
    }
}

const HEAD: &str = "lm_head.weight";

struct Reading<'a, S> {
    loader: &'a mut Loader,
    config: &'a Config,
    shelf: &'a S,
    index: usize,
}

impl<S: Shelf> Reading<'_, S> {
    fn name(&self, part: &str) -> String {
        format!("model.layers.{}.{part}", self.index)
    }

    fn layer(mut self) -> Result<Layer<S::Matrix, S::Vector>, LoadError> {
        let Config { family, width, .. } = *self.config;
        let (query, kv) = (self.config.query_width(), self.config.kv_width());
        let names = family.layer_names();
        let attention_norm = self.norm(names.before_attention)?;
        let modules: &[(&str, usize)] = if family.is_fused() {
            &[("self_attn.qkv_proj", query + 2 * kv)]
        } else {
            &[("self_attn.q_proj", query), ("self_attn.k_proj", kv), ("self_attn.v_proj", kv)]
        };
        let qkv = self.stacked(modules, width)?;
        let qkv_bias = self.bias(self.config.parts.qkv_bias, modules)?;
        let head_norms = self.head_norms(query, kv)?;
        let output = self.stacked(&[("self_attn.o_proj", width)], query)?;
        let output_bias =
            self.bias(self.config.parts.output_bias, &[("self_attn.o_proj", width)])?;
        let after_attention = self.norm(names.after_attention)?;
        let ffn_norm = self.norm(names.before_ffn)?;
        let feed = self.feed()?;
        let after_ffn = self.norm(names.after_ffn)?;
        Ok(Layer {
            attention_norm,
            qkv,
            qkv_bias,
            head_norms,
            output,
            output_bias,
            after_attention,
            ffn_norm,
            feed,
            after_ffn,
        })
    }

    fn norm(&mut self, module: Option<&str>) -> Result<Option<S::Vector>, LoadError> {
        let Some(module) = module else { return Ok(None) };
        let name = self.name(&format!("{module}.weight"));
        let values = self.loader.norm(&name, self.config.width, self.config)?;
        self.shelf.vector(values).map(Some)
    }

    fn head_norms(
        &mut self,
        query: usize,
        kv: usize,
    ) -> Result<Option<HeadNorms<S::Vector>>, LoadError> {
        let (query, key) = match self.config.family.head_norm() {
            HeadNorm::None => return Ok(None),
            HeadNorm::Head => (self.config.head_dim, self.config.head_dim),
            HeadNorm::Row => (query, kv),
        };
        let mut norm = |part: &str, width: usize| {
            let name = self.name(part);
            self.shelf.vector(self.loader.norm(&name, width, self.config)?)
        };
        let query = norm("self_attn.q_norm.weight", query)?;
        Ok(Some(HeadNorms { query, key: norm("self_attn.k_norm.weight", key)? }))
    }

    /// Modules of so many rows each, one below the other.
    fn stacked(&mut self, modules: &[(&str, usize)], cols: usize) -> Result<S::Matrix, LoadError> {
        let mut stack: Option<Encoded> = None;
        for &(module, rows) in modules {
            let name = self.name(&format!("{module}.weight"));
            let below = self.loader.matrix(&name, rows, cols)?;
            match &mut stack {
                Some(stack) => stack.stack(&below),
                None => stack = Some(below),
            }
        }
        match stack {
            Some(stack) => self.shelf.matrix(&stack),
            None => Err(LoadError::MissingTensor { name: self.name("") }),
        }
    }

    fn bias(
        &mut self,
        is_there: bool,
        modules: &[(&str, usize)],
    ) -> Result<Option<S::Vector>, LoadError> {
        if !is_there {
            return Ok(None);
        }
        let mut bias = Vec::new();
        for &(module, rows) in modules {
            let name = self.name(&format!("{module}.bias"));
            bias.extend(self.loader.vector(&name, rows)?);
        }
        self.shelf.vector(bias).map(Some)
    }

    fn feed(&mut self) -> Result<Feed<S::Matrix, S::Vector>, LoadError> {
        let Some(experts) = self.config.experts(self.index) else {
            return self
                .dense("mlp", ["gate_proj", "up_proj", "down_proj"], self.config.ffn)
                .map(Feed::Dense);
        };
        let (count, ffn) = (experts.count, experts.ffn);
        let names = self.config.family.expert_names();
        let router = format!("{}.{}", names.module, names.router);
        let router = self.name(&format!("{router}.weight"));
        let router =
            self.shelf.matrix(&self.loader.router(&router, count, self.config.width)?)?;
        let parts = [names.gate, names.up, names.down];
        let expert =
            |index: usize| self.dense(&format!("{}.experts.{index}", names.module), parts, ffn);
        let experts = (0..count).map(expert).collect::<Result<_, _>>()?;
        Ok(Feed::Experts { router, experts })
    }

    fn dense(
        &mut self,
        module: &str,
        parts: [&str; 3],
        ffn: usize,
    ) -> Result<Dense<S::Matrix, S::Vector>, LoadError> {
        let [gate, up, down] = parts.map(|part| format!("{module}.{part}"));
        let fused = format!("{module}.gate_up_proj");
        let halves = [(gate.as_str(), ffn), (up.as_str(), ffn)];
        let one = [(fused.as_str(), 2 * ffn)];
        let modules: &[(&str, usize)] = if self.config.family.is_fused() { &one } else { &halves };
        let down = [(down.as_str(), self.config.width)];
        let biased = self.config.parts.ffn_bias;
        Ok(Dense {
            gate_up: self.stacked(modules, self.config.width)?,
            gate_up_bias: self.bias(biased, modules)?,
            down: self.stacked(&down, ffn)?,
            down_bias: self.bias(biased, &down)?,
        })
    }
}
