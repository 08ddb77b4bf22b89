//! `config.json` of a Hugging Face folder.

use std::{cell::RefCell, collections::BTreeSet};

use serde_json::{Map, Value};

use super::{
    Activation, Config, ConfigError, Experts, Family, LayerKind, LayerRope, Parts, RopeScaling,
    rope::sharpening,
};

/// A JSON object, and which of its fields were asked for.
struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// Put before names in messages.
    prefix: &'a str,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Fields<'a> {
    fn new(map: &'a Map<String, Value>, prefix: &'a str) -> Self {
        Self { map, prefix, asked: RefCell::default() }
    }

    /// A field that is there and not null.
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn missing(&self, name: &str) -> ConfigError {
        ConfigError::Missing(format!("{}{name}", self.prefix))
    }

    fn wrong(&self, name: &str, value: &Value, want: &'static str) -> ConfigError {
        ConfigError::Wrong { field: format!("{}{name}", self.prefix), value: short(value), want }
    }

    fn unsupported(&self, name: &str, supported: &'static str) -> ConfigError {
        let value = self.map.get(name).map(short).unwrap_or_default();
        ConfigError::Unsupported { field: format!("{}{name}", self.prefix), value, supported }
    }

    fn read<T>(
        &self,
        name: &str,
        want: &'static str,
        parse: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        parse(value).map(Some).ok_or_else(|| self.wrong(name, value, want))
    }

    fn size(&self, name: &str) -> Result<Option<usize>, ConfigError> {
        self.read(name, "a whole number", |value| usize::try_from(value.as_u64()?).ok())
    }

    fn needs(&self, name: &str) -> Result<usize, ConfigError> {
        self.size(name)?.ok_or_else(|| self.missing(name))
    }

    fn number(&self, name: &str) -> Result<Option<f64>, ConfigError> {
        self.read(name, "a number", Value::as_f64)
    }

    #[expect(clippy::cast_possible_truncation, reason = "arithmetic is in f32")]
    fn single(&self, name: &str) -> Result<Option<f32>, ConfigError> {
        Ok(self.number(name)?.map(|value| value as f32))
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, ConfigError> {
        self.read(name, "true or false", Value::as_bool)
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, ConfigError> {
        self.read(name, "a text", Value::as_str)
    }

    fn list(&self, name: &str) -> Result<Option<&'a Vec<Value>>, ConfigError> {
        self.read(name, "a list", Value::as_array)
    }

    fn numbers(&self, name: &str) -> Result<Option<Vec<f64>>, ConfigError> {
        self.read(name, "a list of numbers", |value| {
            value.as_array()?.iter().map(Value::as_f64).collect()
        })
    }

    /// A setting that is only supported switched off.
    fn off(&self, name: &str) -> Result<(), ConfigError> {
        match self.get(name) {
            Some(value) if !is_nothing(value) => Err(self.unsupported(name, "supported: none")),
            _ => Ok(()),
        }
    }

    /// Refuses the first field that nobody asked for, unless it says nothing or changes nothing.
    fn finish(&self, family: &'static str, neutral: &[&str]) -> Result<(), ConfigError> {
        let asked = self.asked.borrow();
        let known =
            |name: &str| asked.contains(name) || neutral.contains(&name) || name.starts_with('_');
        let strange = self.map.iter().find(|(name, value)| !known(name) && !is_nothing(value));
        match strange {
            Some((name, value)) => Err(ConfigError::Unknown {
                field: format!("{}{name}", self.prefix),
                value: short(value),
                family,
            }),
            None => Ok(()),
        }
    }
}

/// Null, false, zero and what is empty say nothing.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) => false,
    }
}

/// A value for a message.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Fields of `config.json` that do not change what a loaded model computes: about training, about the
/// file, or about how a text is drawn, which a request decides.
const NEUTRAL: &[&str] = &[
    "architectures",
    "model_type",
    "torch_dtype",
    "dtype",
    "transformers_version",
    "auto_map",
    "use_cache",
    "bos_token_id",
    "pad_token_id",
    "sep_token_id",
    "decoder_start_token_id",
    "unk_token_id",
    "initializer_range",
    "attention_dropout",
    "attn_dropout",
    "resid_pdrop",
    "embd_pdrop",
    "attn_pdrop",
    "hidden_dropout",
    "residual_dropout",
    "embedding_dropout",
    "dropout",
    "pretraining_tp",
    "router_aux_loss_coef",
    "output_router_logits",
    "router_jitter_noise",
    "cache_implementation",
    "id2label",
    "label2id",
    "num_labels",
    "problem_type",
    "finetuning_task",
    "task_specific_params",
    "name_or_path",
    "return_dict",
    "output_hidden_states",
    "output_attentions",
    "torchscript",
    "chunk_size_feed_forward",
    "is_decoder",
    "is_encoder_decoder",
    "max_length",
    "min_length",
    "do_sample",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "repetition_penalty",
    "length_penalty",
    "num_beams",
    "num_beam_groups",
    "num_return_sequences",
    "early_stopping",
    "no_repeat_ngram_size",
    "diversity_penalty",
    "encoder_no_repeat_ngram_size",
    "prefix",
    "tokenizer_class",
    "remove_invalid_values",
    "use_return_dict",
    "return_dict_in_generate",
    "max_sequence_length",
    "model_max_length",
    "tf_legacy_loss",
    "use_bfloat16",
    "use_mem_eff_attention",
    "use_flash_attn",
    "unsloth_fixed",
    "unsloth_version",
    "original_architecture",
    "library_name",
    "vocab_type",
    "flash_attn",
    "attn_implementation",
    "keys_to_ignore_at_inference",
    "language",
    "license",
];

/// Reads `config.json`.
pub(super) fn read(text: &[u8], generation: Option<&[u8]>) -> Result<Config, ConfigError> {
    let map: Map<String, Value> = serde_json::from_slice(text)?;
    let fields = Fields::new(&map, "");
    let model_type = fields.text("model_type")?.ok_or_else(|| fields.missing("model_type"))?;
    let family = Family::of_hub(model_type)
        .ok_or_else(|| ConfigError::Architecture { architecture: model_type.to_owned() })?;
    if let Some(quantised) = fields.get("quantization_config") {
        let method =
            quantised.get("quant_method").and_then(Value::as_str).unwrap_or("an unnamed method");
        return Err(ConfigError::Quantised { method: method.to_owned() });
    }
    let reading = Reading { fields: &fields, family, model_type };
    let config = reading.config(generation)?;
    fields.finish(family.name(), NEUTRAL)?;
    Ok(config)
}

struct Reading<'a> {
    fields: &'a Fields<'a>,
    family: Family,
    model_type: &'a str,
}

/// The rotary embedding.
struct Rope {
    theta: f64,
    scaling: Option<RopeScaling>,
    local_theta: f64,
    rotated: usize,
    /// Longest sequence for which the frequencies are these.
    limit: Option<usize>,
}

impl<'a> Reading<'a> {
    fn config(&self, generation: Option<&[u8]>) -> Result<Config, ConfigError> {
        let Self { fields, family, .. } = *self;
        let (width, heads) = (fields.needs("hidden_size")?, fields.needs("num_attention_heads")?);
        let layers = fields.needs("num_hidden_layers")?;
        let head_dim = match (fields.size("head_dim")?, family) {
            (Some(head_dim), _) => head_dim,
            (None, Family::Gemma | Family::Gemma2 | Family::Gemma3) => 256,
            (None, Family::Qwen3 | Family::Qwen3Moe) => 128,
            (None, _) => width / heads.max(1),
        };
        let positions = self.positions()?;
        let rope = self.rope(head_dim, positions)?;
        let experts = self.experts(layers)?;
        let ffn = match (&experts, fields.size("intermediate_size")?) {
            (Some(experts), None) => experts.ffn,
            (_, Some(ffn)) => ffn,
            (None, None) => return Err(fields.missing("intermediate_size")),
        };
        let mut parts = self.parts(head_dim, width)?;
        parts.rotated = rope.rotated;
        parts.local_theta = rope.local_theta;
        parts.experts = experts;
        parts.kinds = self.kinds(layers)?;
        Ok(Config {
            family,
            width,
            layers,
            heads,
            kv_heads: fields.size("num_key_value_heads")?.unwrap_or(match family {
                Family::Mixtral => 8,
                _ => heads,
            }),
            head_dim,
            ffn,
            vocab: fields.needs("vocab_size")?,
            context: rope.limit.map_or(positions, |limit| limit.min(positions)),
            rope_theta: rope.theta,
            rope_scaling: rope.scaling,
            norm_eps: fields.single("rms_norm_eps")?.unwrap_or(match family {
                Family::Olmo2 | Family::Mixtral | Family::Phi3 => 1e-5,
                _ => 1e-6,
            }),
            eos: self.eos(generation)?,
            parts,
        })
    }

    fn positions(&self) -> Result<usize, ConfigError> {
        self.fields.needs("max_position_embeddings")
    }

    /// Ids that end a turn: those of `generation_config.json` too, where there is one.
    fn eos(&self, generation: Option<&[u8]>) -> Result<Vec<u32>, ConfigError> {
        let ids = |value: &Value| -> Option<Vec<u32>> {
            let one = |value: &Value| u32::try_from(value.as_u64()?).ok();
            match value {
                Value::Array(all) => all.iter().map(one).collect(),
                value => one(value).map(|id| vec![id]),
            }
        };
        let want = "an id or a list of ids";
        let mut eos = self.fields.read("eos_token_id", want, ids)?.unwrap_or_default();
        if let Some(json) = generation {
            let map: Map<String, Value> = serde_json::from_slice(json)?;
            let fields = Fields::new(&map, "generation_config.json: ");
            eos.extend(fields.read("eos_token_id", want, ids)?.unwrap_or_default());
        }
        Ok(eos)
    }

    fn parts(&self, head_dim: usize, width: usize) -> Result<Parts, ConfigError> {
        let Self { fields, family, .. } = *self;
        let mut parts = Parts::plain(family, head_dim);
        parts.activation = self.activation()?;
        parts.tied = Some(match fields.flag("tie_word_embeddings")? {
            Some(tied) => tied,
            None if family.is_tied() => true,
            // Then the tensors decide: a checkpoint without a head can only be tied.
            None => {
                parts.tied = None;
                return self.biases_and_scales(parts, width);
            }
        });
        self.biases_and_scales(parts, width)
    }

    fn activation(&self) -> Result<Activation, ConfigError> {
        let Self { fields, family, .. } = *self;
        let gemma = matches!(family, Family::Gemma | Family::Gemma2 | Family::Gemma3);
        let (own, old) = (fields.text("hidden_activation")?, fields.text("hidden_act")?);
        // Gemma's first files say `gelu` in the field that nothing reads.
        let name = if gemma { own.unwrap_or("gelu_pytorch_tanh") } else { old.unwrap_or("silu") };
        if !gemma && let Some(other) = own.filter(|own| *own != name) {
            let (field, value) = ("hidden_activation".to_owned(), other.to_owned());
            return Err(ConfigError::Unsupported { field, value, supported: "hidden_act decides" });
        }
        Activation::named(name).ok_or_else(|| ConfigError::Unsupported {
            field: if gemma { "hidden_activation" } else { "hidden_act" }.to_owned(),
            value: name.to_owned(),
            supported: "supported: silu, gelu, gelu_pytorch_tanh, gelu_new, relu",
        })
    }

    fn biases_and_scales(&self, mut parts: Parts, width: usize) -> Result<Parts, ConfigError> {
        let Self { fields, family, .. } = *self;
        match family {
            Family::Qwen2 | Family::Mixtral => {
                // These have the biases they have; the fields exist for other families' sake.
                fields.off("mlp_bias")?;
                if fields.flag("attention_bias")? == Some(true) && family != Family::Qwen2 {
                    return Err(fields.unsupported("attention_bias", "supported: false"));
                }
            }
            Family::Phi3 => {
                fields.off("attention_bias")?;
                fields.off("mlp_bias")?;
            }
            _ if self.model_type == "mistral" => {
                fields.off("attention_bias")?;
                fields.off("mlp_bias")?;
            }
            _ => {
                let biased = fields.flag("attention_bias")? == Some(true);
                (parts.qkv_bias, parts.output_bias) = (biased, biased);
                parts.ffn_bias = fields.flag("mlp_bias")? == Some(true);
            }
        }
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "f32")]
        let root = (width as f64).sqrt() as f32;
        match family {
            Family::Gemma => parts.embedding_scale = root,
            Family::Gemma2 | Family::Gemma3 => {
                parts.embedding_scale = root;
                let scalar = fields.number("query_pre_attn_scalar")?.unwrap_or(256.0);
                #[expect(clippy::cast_possible_truncation, reason = "arithmetic is in f32")]
                let scale = (1.0 / scalar.sqrt()) as f32;
                parts.attention_scale = Some(scale);
                let capped = family == Family::Gemma2;
                let cap = |name: &str, default: f32| -> Result<Option<f32>, ConfigError> {
                    let said = fields.map.contains_key(name);
                    let cap = fields.single(name)?;
                    Ok(if capped && !said { Some(default) } else { cap })
                };
                parts.attention_cap = cap("attn_logit_softcapping", 50.0)?;
                parts.logit_cap = cap("final_logit_softcapping", 30.0)?;
                if fields.flag("use_bidirectional_attention")? == Some(true) {
                    return Err(
                        fields.unsupported("use_bidirectional_attention", "causal attention")
                    );
                }
            }
            Family::Granite => {
                parts.embedding_scale = fields.single("embedding_multiplier")?.unwrap_or(1.0);
                parts.residual_scale = fields.single("residual_multiplier")?.unwrap_or(1.0);
                parts.attention_scale = Some(fields.single("attention_multiplier")?.unwrap_or(1.0));
                parts.logit_scale = 1.0 / fields.single("logits_scaling")?.unwrap_or(1.0);
            }
            _ => {}
        }
        Ok(parts)
    }

    /// Windows and rotations, layer by layer.
    fn kinds(&self, layers: usize) -> Result<Vec<LayerKind>, ConfigError> {
        let Self { fields, family, model_type } = *self;
        let window = match (fields.size("sliding_window")?, family) {
            (None, Family::Gemma2 | Family::Gemma3)
                if !fields.map.contains_key("sliding_window") =>
            {
                Some(4096)
            }
            (window, _) => window,
        };
        let used = fields.flag("use_sliding_window")?;
        let full_below = fields.size("max_window_layers")?;
        let pattern = match fields.size("sliding_window_pattern")? {
            Some(pattern) => Some(pattern),
            None => fields.size("_sliding_window_pattern")?,
        };
        let listed = self.listed_kinds(layers)?;
        let slides = |index: usize| -> bool {
            if let Some(listed) = &listed {
                return listed[index];
            }
            match family {
                Family::Qwen2 | Family::Qwen3 | Family::Qwen3Moe => {
                    index >= full_below.unwrap_or(28)
                }
                Family::Gemma2 => index.is_multiple_of(2),
                Family::Gemma3 => !(index + 1).is_multiple_of(pattern.unwrap_or(6).max(1)),
                Family::Olmo2 => model_type == "olmo3" && !(index + 1).is_multiple_of(4),
                _ => true,
            }
        };
        let never = matches!(family, Family::Granite | Family::Gemma) || model_type == "llama";
        let active = match family {
            Family::Qwen2 | Family::Qwen3 | Family::Qwen3Moe | Family::SmolLm3 => {
                used == Some(true)
            }
            _ => !never,
        };
        let denied = !matches!(family, Family::SmolLm3) && active && used == Some(false);
        if window.is_some() && (never || denied) {
            return Err(
                fields.unsupported("sliding_window", "it is not clear whether there is one")
            );
        }
        let window = window.filter(|_| active);
        if window.is_none()
            && listed.as_ref().is_some_and(|listed| listed.contains(&true))
            && active
        {
            return Err(fields.missing("sliding_window"));
        }
        let no_rope = self.layers_without_rope(layers)?;
        let kind = |index: usize| {
            let window = window.filter(|_| slides(index));
            let rope = match family {
                _ if no_rope.get(index) == Some(&true) => LayerRope::None,
                Family::Gemma3 if window.is_some() => LayerRope::Local,
                Family::Olmo2 if window.is_some() => LayerRope::Plain,
                _ => LayerRope::Global,
            };
            LayerKind { window, rope }
        };
        let kinds: Vec<LayerKind> = (0..layers).map(kind).collect();
        Ok(if kinds.iter().all(|kind| *kind == LayerKind::default()) { Vec::new() } else { kinds })
    }

    /// `layer_types`: true where a layer slides.
    fn listed_kinds(&self, layers: usize) -> Result<Option<Vec<bool>>, ConfigError> {
        let Some(types) = self.fields.list("layer_types")? else { return Ok(None) };
        let kind = |value: &Value| match value.as_str() {
            Some("sliding_attention") => Some(true),
            Some("full_attention") => Some(false),
            _ => None,
        };
        let kinds: Option<Vec<bool>> = types.iter().map(kind).collect();
        let whole = kinds.filter(|kinds| kinds.len() == layers);
        let supported = "supported: sliding_attention and full_attention, one for each layer";
        whole.map(Some).ok_or_else(|| self.fields.unsupported("layer_types", supported))
    }

    /// True where a layer does not rotate.
    fn layers_without_rope(&self, layers: usize) -> Result<Vec<bool>, ConfigError> {
        if self.family != Family::SmolLm3 {
            return Ok(Vec::new());
        }
        let interval = self.fields.size("no_rope_layer_interval")?.unwrap_or(4).max(1);
        let Some(listed) = self.fields.list("no_rope_layers")? else {
            return Ok((0..layers).map(|index| (index + 1).is_multiple_of(interval)).collect());
        };
        // 1 where a layer rotates.
        let rotates: Vec<bool> = listed.iter().map(|value| value.as_u64() == Some(0)).collect();
        if rotates.len() != layers {
            return Err(self.fields.unsupported("no_rope_layers", "one for each layer"));
        }
        Ok(rotates)
    }

    fn experts(&self, layers: usize) -> Result<Option<Experts>, ConfigError> {
        let Self { fields, family, .. } = *self;
        match family {
            Family::Qwen3Moe => {
                let step = fields.size("decoder_sparse_step")?.unwrap_or(1);
                let listed = fields.list("mlp_only_layers")?;
                let listed: Vec<usize> = listed
                    .into_iter()
                    .flatten()
                    .filter_map(|layer| usize::try_from(layer.as_u64()?).ok())
                    .collect();
                let is_dense = |index: &usize| {
                    listed.contains(index) || step == 0 || !(index + 1).is_multiple_of(step)
                };
                Ok(Some(Experts {
                    // transformers 5 calls it by Mixtral's name.
                    count: match fields.size("num_experts")? {
                        Some(count) => count,
                        None => fields.needs("num_local_experts")?,
                    },
                    used: fields.size("num_experts_per_tok")?.unwrap_or(8),
                    ffn: fields.needs("moe_intermediate_size")?,
                    normalised: fields.flag("norm_topk_prob")?.unwrap_or(false),
                    dense: (0..layers).filter(is_dense).collect(),
                }))
            }
            Family::Mixtral => Ok(Some(Experts {
                count: fields.needs("num_local_experts")?,
                used: fields.size("num_experts_per_tok")?.unwrap_or(2),
                ffn: fields.needs("intermediate_size")?,
                normalised: true,
                dense: Vec::new(),
            })),
            _ => Ok(None),
        }
    }

    fn rope(&self, head_dim: usize, positions: usize) -> Result<Rope, ConfigError> {
        let Self { fields, family, .. } = *self;
        let (old, new) = (fields.get("rope_scaling"), fields.get("rope_parameters"));
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            return Err(fields.unsupported("rope_scaling", "it contradicts rope_parameters"));
        }
        let object = |name: &'static str, value: Option<&'a Value>| match value {
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(fields.wrong(name, other, "an object")),
            None => Ok(None),
        };
        let stretch = match object("rope_parameters", new)? {
            Some(map) => Some(map),
            None => object("rope_scaling", old)?,
        };
        // Either one for all layers, or one for each kind of layer.
        let of = |kind: &str| stretch.and_then(|map| map.get(kind)).and_then(Value::as_object);
        let nested = stretch.is_some_and(|map| map.values().any(Value::is_object));
        if nested
            && let Some(odd) =
                stretch.and_then(|map| map.keys().find(|key| !KINDS.contains(&key.as_str())))
        {
            let field = format!("rope_parameters.{odd}");
            return Err(ConfigError::Unknown {
                field,
                value: String::new(),
                family: family.name(),
            });
        }
        let main = if nested { of("full_attention") } else { stretch };
        let theta = fields.number("rope_theta")?;
        let default_theta = match family {
            Family::SmolLm3 => 2_000_000.0,
            Family::Gemma3 | Family::Mixtral => 1_000_000.0,
            _ => 10_000.0,
        };
        let fraction = fields.number("partial_rotary_factor")?;
        let scaling = Scaling { reading: self, positions };
        let said = main.map(|map| scaling.read(map)).transpose()?.unwrap_or_default();
        let local = fields.number("rope_local_base_freq")?;
        let sliding = nested.then(|| of("sliding_attention")).flatten();
        let sliding = sliding.map(|map| scaling.read(map)).transpose()?.unwrap_or_default();
        if sliding.scaling.is_some() {
            let field = "rope_parameters.sliding_attention".to_owned();
            let (value, supported) = ("scaled".to_owned(), "supported: default");
            return Err(ConfigError::Unsupported { field, value, supported });
        }
        let theta = said.theta.or(theta).unwrap_or(default_theta);
        let local_theta = sliding.theta.or(local).unwrap_or(if family == Family::Gemma3 {
            10_000.0
        } else {
            theta
        });
        if family == Family::Olmo2 && (local_theta - theta).abs() > 0.0 {
            return Err(fields.unsupported("rope_parameters", "one rope_theta for all layers"));
        }
        let fraction = said.fraction.or(fraction).unwrap_or(1.0);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a head's width"
        )]
        let rotated = (head_dim as f64 * fraction) as usize;
        if rotated != head_dim && family != Family::Phi3 {
            return Err(fields.unsupported("partial_rotary_factor", "supported in phi3 only"));
        }
        Ok(Rope { theta, scaling: said.scaling, local_theta, rotated, limit: said.limit })
    }
}

/// Kinds of layers that a configuration may set apart.
const KINDS: [&str; 2] = ["full_attention", "sliding_attention"];

/// What one object of rope parameters says.
#[derive(Default)]
struct Said {
    theta: Option<f64>,
    fraction: Option<f64>,
    scaling: Option<RopeScaling>,
    limit: Option<usize>,
}

struct Scaling<'a> {
    reading: &'a Reading<'a>,
    positions: usize,
}

impl Scaling<'_> {
    #[expect(clippy::cast_precision_loss, reason = "contexts stay below 2⁵³")]
    fn read(&self, map: &Map<String, Value>) -> Result<Said, ConfigError> {
        let fields = Fields::new(map, "rope_parameters.");
        let (new, old) = (fields.text("rope_type")?, fields.text("type")?);
        let kind = new.or(old).unwrap_or("default");
        let mut said = Said {
            theta: fields.number("rope_theta")?,
            fraction: fields.number("partial_rotary_factor")?,
            ..Said::default()
        };
        let factor = fields.number("factor")?;
        let needs = |name: &str| fields.number(name)?.ok_or_else(|| fields.missing(name));
        // Phi 3 has it beside, not inside.
        let beside = self.reading.fields.size("original_max_position_embeddings")?;
        let original = match fields.size("original_max_position_embeddings")? {
            Some(original) => Some(original),
            None => beside,
        };
        let factor_needed = || factor.ok_or_else(|| fields.missing("factor"));
        match kind {
            "default" => {}
            "linear" => {
                let factor = factor_needed()?;
                said.scaling = ((factor - 1.0).abs() > 0.0).then_some(RopeScaling::Linear(factor));
            }
            // Stretches only what lies beyond the context that is served.
            "dynamic" => {
                factor_needed()?;
                said.limit = original;
            }
            "llama3" => {
                said.scaling = Some(RopeScaling::Llama3 {
                    factor: factor_needed()?,
                    low: needs("low_freq_factor")?,
                    high: needs("high_freq_factor")?,
                    original: original
                        .ok_or_else(|| fields.missing("original_max_position_embeddings"))?
                        as f64,
                });
            }
            "yarn" => {
                let original = original.unwrap_or(self.positions);
                said.scaling = Some(yarn(&fields, factor_needed()?, original as f64)?);
            }
            "longrope" | "su" => {
                let original =
                    original.ok_or_else(|| fields.missing("original_max_position_embeddings"))?;
                let stretch = self.positions as f64 / original as f64;
                let factor = if beside.is_some() { stretch } else { factor.unwrap_or(stretch) };
                let attention = match fields.number("attention_factor")? {
                    Some(attention) => attention,
                    None if factor <= 1.0 => 1.0,
                    None => (1.0 + libm::log(factor) / libm::log(original as f64)).sqrt(),
                };
                let short = fields.numbers("short_factor")?;
                let divisors = short.ok_or_else(|| fields.missing("short_factor"))?;
                fields.numbers("long_factor")?;
                said.scaling = Some(RopeScaling::Divisors { divisors, attention });
                // Beyond, other frequencies would hold for the whole sequence.
                said.limit = Some(original);
            }
            other => return Err(ConfigError::RopeScaling(other.to_owned())),
        }
        fields.finish(self.reading.family.name(), &[])?;
        Ok(said)
    }
}

fn yarn(fields: &Fields<'_>, factor: f64, original: f64) -> Result<RopeScaling, ConfigError> {
    let (scale, all) = (fields.number("mscale")?, fields.number("mscale_all_dim")?);
    let attention = match (fields.number("attention_factor")?, scale, all) {
        (Some(attention), _, _) => attention,
        (None, Some(scale), Some(all)) if scale > 0.0 && all > 0.0 => {
            sharpening(factor, scale) / sharpening(factor, all)
        }
        _ => sharpening(factor, 1.0),
    };
    Ok(RopeScaling::Yarn {
        factor,
        original,
        fast: fields.number("beta_fast")?.unwrap_or(32.0),
        slow: fields.number("beta_slow")?.unwrap_or(1.0),
        whole: fields.flag("truncate")?.unwrap_or(true),
        attention,
    })
}
