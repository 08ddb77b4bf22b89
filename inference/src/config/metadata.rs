//! What the metadata of a GGUF file say of a model's shape.

use std::{cell::RefCell, collections::BTreeMap, collections::BTreeSet};

use super::{
    Activation, Config, ConfigError, Experts, Family, LayerKind, LayerRope, Parts, RopeScaling,
    rope::sharpening,
};

/// A value of a key of the architecture's own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Number(f64),
    Bool(bool),
    Text(String),
    /// Of a few numbers or truths; `None` where it is neither.
    List(Option<Vec<f64>>),
}

/// What a GGUF file says of itself, as far as its shape goes.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    /// `general.architecture`.
    pub(crate) architecture: String,
    /// Keys that begin with the architecture's name, without it.
    pub(crate) entries: BTreeMap<String, Scalar>,
    /// Divisors of rotary frequencies, by the tensor's name.
    pub(crate) divisors: BTreeMap<String, Vec<f64>>,
    /// Names of the tensors of the first layer, and of those outside layers.
    pub(crate) tensors: BTreeSet<String>,
    /// Rows of the embedding.
    pub(crate) vocab: usize,
    pub(crate) eos: Option<u32>,
}

/// A configuration, and what was done about it that a user should know.
pub(crate) struct Read {
    pub(crate) config: Config,
    pub(crate) notes: Vec<String>,
}

/// Keys that do not change what is computed.
const NEUTRAL: [&str; 5] = [
    "vocab_size",
    "tensor_data_layout",
    "rope.scaling.finetuned",
    "attention.layer_norm_epsilon",
    "rope.scaling.yarn_log_multiplier",
];

/// Layers of the one Gemma of each generation whose attention is scaled by the width of the model.
const GEMMA2_27B: usize = 46;
const GEMMA3_27B: usize = 62;

/// Reads the shape.
pub(crate) fn read(metadata: &Metadata) -> Result<Read, ConfigError> {
    let architecture = &metadata.architecture;
    let mut family = Family::of_gguf(architecture)
        .ok_or_else(|| ConfigError::Architecture { architecture: architecture.clone() })?;
    let reading = Reading { metadata, asked: RefCell::default() };
    if family == Family::Llama && reading.size("expert_count")?.unwrap_or(0) > 0 {
        family = Family::Mixtral;
    }
    let read = reading.config(family)?;
    reading.finish(family)?;
    Ok(Read { config: Config::new(read.config)?, notes: read.notes })
}

struct Reading<'a> {
    metadata: &'a Metadata,
    asked: RefCell<BTreeSet<String>>,
}

impl Reading<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.metadata.architecture)
    }

    fn get(&self, name: &str) -> Option<&Scalar> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.metadata.entries.get(name)
    }

    fn wrong(&self, name: &str, value: &Scalar, want: &'static str) -> ConfigError {
        ConfigError::Wrong { field: self.key(name), value: shown(value), want }
    }

    fn unsupported(&self, name: &str, supported: &'static str) -> ConfigError {
        let value = self.metadata.entries.get(name).map(shown).unwrap_or_default();
        ConfigError::Unsupported { field: self.key(name), value, supported }
    }

    fn number(&self, name: &str) -> Result<Option<f64>, ConfigError> {
        match self.get(name) {
            None => Ok(None),
            Some(Scalar::Number(number)) => Ok(Some(*number)),
            // One for each layer, all the same.
            Some(Scalar::List(Some(list))) if !list.is_empty() => {
                let same = list.iter().all(|value| value.to_bits() == list[0].to_bits());
                let supported = "supported: the same for all layers";
                if same { Ok(Some(list[0])) } else { Err(self.unsupported(name, supported)) }
            }
            Some(other) => Err(self.wrong(name, other, "a number")),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "arithmetic is in f32")]
    fn single(&self, name: &str) -> Result<Option<f32>, ConfigError> {
        Ok(self.number(name)?.map(|number| number as f32))
    }

    fn size(&self, name: &str) -> Result<Option<usize>, ConfigError> {
        let Some(number) = self.number(name)? else { return Ok(None) };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number below 2³²"
        )]
        let size = (number.fract() == 0.0 && (0.0..4_294_967_296.0).contains(&number))
            .then_some(number as usize);
        size.map(Some).ok_or_else(|| self.wrong(name, &Scalar::Number(number), "a whole number"))
    }

    fn needs(&self, name: &str) -> Result<usize, ConfigError> {
        self.size(name)?.ok_or_else(|| ConfigError::Key(self.key(name)))
    }

    fn text(&self, name: &str) -> Result<Option<&str>, ConfigError> {
        match self.get(name) {
            None => Ok(None),
            Some(Scalar::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, other, "a text")),
        }
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, ConfigError> {
        match self.get(name) {
            None => Ok(None),
            Some(Scalar::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong(name, other, "true or false")),
        }
    }

    fn has(&self, tensor: &str) -> bool {
        self.metadata.tensors.contains(tensor)
    }

    fn config(&self, family: Family) -> Result<Read, ConfigError> {
        let (width, layers) = (self.needs("embedding_length")?, self.needs("block_count")?);
        let heads = self.needs("attention.head_count")?;
        let head_dim = match self.size("attention.key_length")? {
            Some(length) => length,
            None => width / heads.max(1),
        };
        if self.size("attention.value_length")?.is_some_and(|length| length != head_dim) {
            return Err(self.unsupported("attention.value_length", "as long as keys"));
        }
        let mut notes = Vec::new();
        let mut context = self.needs("context_length")?;
        let rope = self.rope(head_dim, context)?;
        if let Some(limit) = rope.limit.filter(|limit| *limit < context) {
            notes.push(format!(
                "the context is capped at {limit} of {context} tokens: beyond, other rotary \
                 frequencies would hold for the whole text"
            ));
            context = limit;
        }
        let kinds = self.kinds(family, layers)?;
        if kinds.is_empty()
            && let Some(window) = self.size("attention.sliding_window")?
            && (1..context).contains(&window)
        {
            notes.push(format!(
                "the context is capped at {window} of {context} tokens: the file has a sliding \
                 window, which programs apply differently in this family"
            ));
            context = window;
        }
        let experts = self.experts(family)?;
        let ffn = match (&experts, self.size("feed_forward_length")?) {
            (Some(experts), None | Some(0)) => experts.ffn,
            (_, Some(ffn)) => ffn,
            (None, None) => return Err(ConfigError::Key(self.key("feed_forward_length"))),
        };
        let mut parts = self.parts(family, head_dim, width, heads, layers)?;
        parts.rotated = rope.rotated;
        parts.local_theta = rope.local_theta;
        parts.kinds = kinds;
        parts.experts = experts;
        let norm_eps = self.single("attention.layer_norm_rms_epsilon")?;
        let eps_key = || ConfigError::Key(self.key("attention.layer_norm_rms_epsilon"));
        let config = Config {
            family,
            width,
            layers,
            heads,
            kv_heads: self.size("attention.head_count_kv")?.unwrap_or(heads),
            head_dim,
            ffn,
            vocab: self.metadata.vocab,
            context,
            rope_theta: rope.theta,
            rope_scaling: rope.scaling,
            norm_eps: norm_eps.ok_or_else(eps_key)?,
            eos: self.metadata.eos.into_iter().collect(),
            parts,
        };
        Ok(Read { config, notes })
    }

    fn parts(
        &self,
        family: Family,
        head_dim: usize,
        width: usize,
        heads: usize,
        layers: usize,
    ) -> Result<Parts, ConfigError> {
        let mut parts = Parts::plain(family, head_dim);
        let biased = |module: &str| self.has(&format!("blk.0.{module}.bias"));
        parts.qkv_bias |= biased("attn_q") || biased("attn_qkv");
        parts.output_bias = biased("attn_output");
        parts.ffn_bias = biased("ffn_gate") || biased("ffn_down");
        if self.flag("attention.causal")? == Some(false) {
            return Err(self.unsupported("attention.causal", "true"));
        }
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "f32")]
        let root = |number: usize| (number as f64).sqrt() as f32;
        match family {
            Family::Gemma | Family::Gemma2 | Family::Gemma3 => {
                parts.activation = Activation::GeluTanh;
                parts.embedding_scale = root(width);
                let large = match family {
                    Family::Gemma2 => layers == GEMMA2_27B,
                    Family::Gemma3 => layers == GEMMA3_27B,
                    _ => false,
                };
                let scaled_by = if large { width / heads.max(1) } else { head_dim };
                parts.attention_scale = Some(1.0 / root(scaled_by));
                let (attention, logits) =
                    if family == Family::Gemma2 { (Some(50.0), Some(30.0)) } else { (None, None) };
                parts.attention_cap = self.single("attn_logit_softcapping")?.or(attention);
                parts.logit_cap = self.single("final_logit_softcapping")?.or(logits);
            }
            Family::Granite => {
                let scale = |name: &str| -> Result<Option<f32>, ConfigError> {
                    Ok(self.single(name)?.filter(|scale| *scale != 0.0))
                };
                parts.embedding_scale = scale("embedding_scale")?.unwrap_or(1.0);
                parts.residual_scale = scale("residual_scale")?.unwrap_or(1.0);
                parts.attention_scale = scale("attention.scale")?;
                parts.logit_scale = 1.0 / scale("logit_scale")?.unwrap_or(1.0);
            }
            _ => {}
        }
        Ok(parts)
    }

    fn kinds(&self, family: Family, layers: usize) -> Result<Vec<LayerKind>, ConfigError> {
        let (period, local): (u32, _) = match family {
            Family::Gemma2 => (2, LayerRope::Global),
            Family::Gemma3 => (6, LayerRope::Local),
            Family::Olmo2 => (4, LayerRope::Plain),
            Family::SmolLm3 => {
                let kind = |index: usize| LayerKind {
                    window: None,
                    rope: if (index + 1).is_multiple_of(4) {
                        LayerRope::None
                    } else {
                        LayerRope::Global
                    },
                };
                return Ok((0..layers).map(kind).collect());
            }
            _ => return Ok(Vec::new()),
        };
        let window = match (self.size("attention.sliding_window")?, family) {
            (None, Family::Gemma2) => Some(4096),
            (window, _) => window.filter(|window| *window > 0),
        };
        let Some(window) = window else { return Ok(Vec::new()) };
        let listed = match self.get("attention.sliding_window_pattern") {
            None => None,
            Some(Scalar::List(Some(list))) if list.len() == layers => Some(list),
            Some(Scalar::Number(number)) if (number - f64::from(period)).abs() < 0.5 => None,
            Some(other) => {
                let want = "the family's own, or one truth for each layer";
                return Err(self.wrong("attention.sliding_window_pattern", other, want));
            }
        };
        let slides = |index: usize| match listed {
            Some(list) => list[index] != 0.0,
            None => !(index + 1).is_multiple_of(period as usize),
        };
        let sliding = LayerKind { window: Some(window), rope: local };
        let kind = |index: usize| if slides(index) { sliding } else { LayerKind::default() };
        Ok((0..layers).map(kind).collect())
    }

    fn experts(&self, family: Family) -> Result<Option<Experts>, ConfigError> {
        if !matches!(family, Family::Mixtral | Family::Qwen3Moe) {
            return Ok(None);
        }
        if self.size("expert_gating_func")?.is_some_and(|function| function > 1) {
            return Err(self.unsupported("expert_gating_func", "supported: 1, softmax"));
        }
        if self.flag("expert_weights_norm")? == Some(false) {
            return Err(self.unsupported("expert_weights_norm", "supported: true"));
        }
        let scale = self.number("expert_weights_scale")?.unwrap_or(1.0);
        if scale != 0.0 && (scale - 1.0).abs() > 0.0 {
            return Err(self.unsupported("expert_weights_scale", "supported: 1"));
        }
        let ffn = match self.size("expert_feed_forward_length")?.filter(|ffn| *ffn > 0) {
            Some(ffn) => ffn,
            None => self.needs("feed_forward_length")?,
        };
        Ok(Some(Experts {
            count: self.needs("expert_count")?,
            used: self.needs("expert_used_count")?,
            ffn,
            normalised: true,
            dense: Vec::new(),
        }))
    }

    fn rope(&self, head_dim: usize, context: usize) -> Result<Rope, ConfigError> {
        let theta = self.number("rope.freq_base")?.unwrap_or(10_000.0);
        let local_theta = self.number("rope.freq_base_swa")?.unwrap_or(10_000.0);
        let rotated = self.size("rope.dimension_count")?.unwrap_or(head_dim);
        let old = self.number("rope.scale_linear")?.filter(|factor| *factor != 0.0);
        let factor = self.number("rope.scaling.factor")?.filter(|factor| *factor != 0.0).or(old);
        let original = self.size("rope.scaling.original_context_length")?;
        let attention = self.number("rope.scaling.attn_factor")?;
        let kind = self.text("rope.scaling.type")?.unwrap_or("linear");
        let stretched = factor.filter(|factor| (factor - 1.0).abs() > 0.0);
        let mut rope = Rope { theta, local_theta, rotated, scaling: None, limit: None };
        rope.scaling = match kind {
            "linear" => stretched.map(RopeScaling::Linear),
            #[expect(clippy::cast_precision_loss, reason = "contexts stay below 2⁵³")]
            "yarn" => self.yarn(stretched, original.unwrap_or(context) as f64, attention)?,
            "none" | "longrope" => None,
            other => return Err(ConfigError::RopeScaling(other.to_owned())),
        };
        let named = |name: &str| self.metadata.divisors.get(name).cloned();
        let divisors = named("rope_freqs.weight").or_else(|| named("rope_factors_short.weight"));
        if kind == "longrope" && divisors.is_none() {
            return Err(ConfigError::Missing("rope_factors_short.weight".to_owned()));
        }
        if let Some(divisors) = divisors {
            if rope.scaling.is_some() {
                return Err(self.unsupported("rope.scaling.type", "none beside a table of factors"));
            }
            let attention = attention.filter(|factor| *factor != 0.0).unwrap_or(1.0);
            rope.scaling = Some(RopeScaling::Divisors { divisors, attention });
        } else if kind != "yarn"
            && attention.is_some_and(|factor| factor != 0.0 && (factor - 1.0).abs() > 0.0)
        {
            return Err(
                self.unsupported("rope.scaling.attn_factor", "supported with yarn or longrope")
            );
        }
        if self.metadata.divisors.contains_key("rope_factors_short.weight") {
            rope.limit = original;
        }
        Ok(rope)
    }

    fn yarn(
        &self,
        factor: Option<f64>,
        original: f64,
        attention: Option<f64>,
    ) -> Result<Option<RopeScaling>, ConfigError> {
        let whole =
            self.number("rope.scaling.yarn_ext_factor")?.is_none_or(|f| (f - 1.0).abs() < 1e-9);
        if !whole {
            return Err(self.unsupported("rope.scaling.yarn_ext_factor", "supported: 1"));
        }
        let more = self.number("rope.scaling.yarn_attn_factor")?.unwrap_or(1.0);
        let fast = self.number("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0);
        let slow = self.number("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0);
        let attention = attention.filter(|factor| *factor != 0.0).unwrap_or(1.0) * more;
        Ok(factor.map(|factor| RopeScaling::Yarn {
            factor,
            original,
            fast,
            slow,
            whole: true,
            attention: attention * sharpening(factor, 1.0),
        }))
    }

    /// Refuses the first key of the architecture's that nobody asked for, unless it says nothing.
    fn finish(&self, family: Family) -> Result<(), ConfigError> {
        let asked = self.asked.borrow();
        let strange = self.metadata.entries.iter().find(|(name, value)| {
            !asked.contains(*name) && !NEUTRAL.contains(&name.as_str()) && !is_nothing(value)
        });
        match strange {
            Some((name, value)) => Err(ConfigError::Unknown {
                field: self.key(name),
                value: shown(value),
                family: family.name(),
            }),
            None => Ok(()),
        }
    }
}

struct Rope {
    theta: f64,
    local_theta: f64,
    rotated: usize,
    scaling: Option<RopeScaling>,
    /// Longest sequence for which the frequencies are these.
    limit: Option<usize>,
}

fn is_nothing(value: &Scalar) -> bool {
    match value {
        Scalar::Number(number) => *number == 0.0,
        Scalar::Bool(flag) => !flag,
        Scalar::Text(text) => text.is_empty() || text == "none",
        Scalar::List(list) => list.as_ref().is_some_and(|list| list.iter().all(|x| *x == 0.0)),
    }
}

fn shown(value: &Scalar) -> String {
    match value {
        Scalar::Number(number) => number.to_string(),
        Scalar::Bool(flag) => flag.to_string(),
        Scalar::Text(text) => text.chars().take(60).collect(),
        Scalar::List(Some(list)) => format!("a list of {}", list.len()),
        Scalar::List(None) => "a list".to_owned(),
    }
}
