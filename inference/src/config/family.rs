//! The families of models: one row each.

/// Families this crate runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// Llama 2/3, `SmolLM2`, Mistral and Mistral-Nemo, `DeepSeek`'s distills of Llama.
    Llama,
    /// Qwen 2 and 2.5: biases on the query, key and value projections.
    Qwen2,
    /// Qwen 3: a norm over each query and key head.
    Qwen3,
    /// Qwen 3 with experts.
    Qwen3Moe,
    /// Llama's layers with experts.
    Mixtral,
    /// Gemma 1.
    Gemma,
    /// Gemma 2: windows in every other layer, soft-caps.
    Gemma2,
    /// Gemma 3, its text models: windows in five of six layers.
    Gemma3,
    /// Phi 3 and 4.
    Phi3,
    /// `SmolLM3`: every fourth layer does not rotate.
    SmolLm3,
    /// `OLMo` 2 and 3: norms behind the branches.
    Olmo2,
    /// Granite 3: scales where others have none.
    Granite,
}

/// Where a layer's norms are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norms {
    /// Before attention and before the feed-forward layer.
    Before,
    /// Behind each, before its output is added.
    After,
    /// Both.
    Around,
}

/// Norms of queries and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadNorm {
    /// None.
    None,
    /// Over each head, with one set of weights for all.
    Head,
    /// Over all heads of a token together.
    Row,
}

/// What gates the feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x·σ(x)`.
    Silu,
    /// `x·Φ(x)`.
    Gelu,
    /// `x·Φ(x)` by way of tanh.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    /// By its name in `config.json`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "silu" | "swish" => Self::Silu,
            "gelu" => Self::Gelu,
            "gelu_pytorch_tanh" | "gelu_new" | "gelu_fast" => Self::GeluTanh,
            "relu" => Self::Relu,
            _ => return None,
        })
    }
}

/// A family's row.
#[expect(clippy::struct_excessive_bools, reason = "columns of a table")]
struct Row {
    family: Family,
    /// Its name in GGUF files.
    gguf: &'static str,
    /// `model_type` in `config.json`.
    hub: &'static [&'static str],
    norms: Norms,
    head_norm: HeadNorm,
    /// Checkpoints hold norms' weights less one; GGUF files hold them whole.
    norm_offset: bool,
    /// Query, key and value projections lie in one tensor, and so do gate and up.
    fused: bool,
    /// GGUF files interleave the rows of queries and keys, for a rotation of neighbours.
    interleaved: bool,
    /// The embedding is the head where `config.json` does not say.
    tied: bool,
}

const PLAIN: Row = Row {
    family: Family::Llama,
    gguf: "llama",
    hub: &["llama", "mistral"],
    norms: Norms::Before,
    head_norm: HeadNorm::None,
    norm_offset: false,
    fused: false,
    interleaved: true,
    tied: false,
};

const ROWS: [Row; 12] = [
    PLAIN,
    Row { family: Family::Qwen2, gguf: "qwen2", hub: &["qwen2"], interleaved: false, ..PLAIN },
    Row {
        family: Family::Qwen3,
        gguf: "qwen3",
        hub: &["qwen3"],
        head_norm: HeadNorm::Head,
        interleaved: false,
        ..PLAIN
    },
    Row {
        family: Family::Qwen3Moe,
        gguf: "qwen3moe",
        hub: &["qwen3_moe"],
        head_norm: HeadNorm::Head,
        interleaved: false,
        ..PLAIN
    },
    // In GGUF files a llama with experts.
    Row { family: Family::Mixtral, gguf: "mixtral", hub: &["mixtral"], ..PLAIN },
    Row {
        family: Family::Gemma,
        gguf: "gemma",
        hub: &["gemma"],
        norm_offset: true,
        interleaved: false,
        tied: true,
        ..PLAIN
    },
    Row {
        family: Family::Gemma2,
        gguf: "gemma2",
        hub: &["gemma2"],
        norms: Norms::Around,
        norm_offset: true,
        interleaved: false,
        tied: true,
        ..PLAIN
    },
    Row {
        family: Family::Gemma3,
        gguf: "gemma3",
        hub: &["gemma3_text"],
        norms: Norms::Around,
        head_norm: HeadNorm::Head,
        norm_offset: true,
        interleaved: false,
        tied: true,
        ..PLAIN
    },
    Row {
        family: Family::Phi3,
        gguf: "phi3",
        hub: &["phi3"],
        fused: true,
        interleaved: false,
        ..PLAIN
    },
    Row { family: Family::SmolLm3, gguf: "smollm3", hub: &["smollm3"], tied: true, ..PLAIN },
    Row {
        family: Family::Olmo2,
        gguf: "olmo2",
        hub: &["olmo2", "olmo3"],
        norms: Norms::After,
        head_norm: HeadNorm::Row,
        interleaved: false,
        ..PLAIN
    },
    Row { family: Family::Granite, gguf: "granite", hub: &["granite"], ..PLAIN },
];

/// Names of the families, as their files have them.
pub(super) fn supported() -> String {
    let names = ROWS.iter().flat_map(|row| std::iter::once(&row.gguf).chain(row.hub));
    let mut names: Vec<&str> = names.copied().collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

/// What files call a layer's norms, where it has them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerNames {
    pub(crate) before_attention: Option<&'static str>,
    pub(crate) after_attention: Option<&'static str>,
    pub(crate) before_ffn: Option<&'static str>,
    pub(crate) after_ffn: Option<&'static str>,
}

/// What files call a layer's experts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExpertNames {
    /// The module of the experts.
    pub(crate) module: &'static str,
    pub(crate) router: &'static str,
    pub(crate) gate: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
}

impl Family {
    fn row(self) -> &'static Row {
        ROWS.iter().find(|row| row.family == self).unwrap_or(&PLAIN)
    }

    /// The family of a GGUF architecture.
    pub(super) fn of_gguf(architecture: &str) -> Option<Self> {
        let own = ROWS.iter().filter(|row| row.family != Self::Mixtral);
        own.into_iter().find(|row| row.gguf == architecture).map(|row| row.family)
    }

    /// The family of a `model_type`.
    pub(super) fn of_hub(model_type: &str) -> Option<Self> {
        ROWS.iter().find(|row| row.hub.contains(&model_type)).map(|row| row.family)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.row().gguf
    }

    /// Where its norms are.
    pub fn norms(self) -> Norms {
        self.row().norms
    }

    /// Its norms of queries and keys.
    pub fn head_norm(self) -> HeadNorm {
        self.row().head_norm
    }

    /// Whether safetensors hold the weights of its norms less one.
    pub fn norm_offset(self) -> bool {
        self.row().norm_offset
    }

    /// Whether its projections are stored as one.
    pub fn is_fused(self) -> bool {
        self.row().fused
    }

    /// Whether GGUF files interleave its queries' and keys' rows.
    pub(crate) fn is_interleaved(self) -> bool {
        self.row().interleaved
    }

    /// Whether the embedding is the head unless the configuration says otherwise.
    pub(super) fn is_tied(self) -> bool {
        self.row().tied
    }

    pub(crate) fn layer_names(self) -> LayerNames {
        let (before_attention, after) = (Some("input_layernorm"), "post_attention_layernorm");
        match self.norms() {
            Norms::Before => LayerNames {
                before_attention,
                after_attention: None,
                before_ffn: Some(after),
                after_ffn: None,
            },
            Norms::After => LayerNames {
                before_attention: None,
                after_attention: Some(after),
                before_ffn: None,
                after_ffn: Some("post_feedforward_layernorm"),
            },
            Norms::Around => LayerNames {
                before_attention,
                after_attention: Some(after),
                before_ffn: Some("pre_feedforward_layernorm"),
                after_ffn: Some("post_feedforward_layernorm"),
            },
        }
    }

    pub(crate) fn expert_names(self) -> ExpertNames {
        if self == Self::Mixtral {
            let (gate, up, down) = ("w1", "w3", "w2");
            return ExpertNames { module: "block_sparse_moe", router: "gate", gate, up, down };
        }
        let (gate, up, down) = ("gate_proj", "up_proj", "down_proj");
        ExpertNames { module: "mlp", router: "gate", gate, up, down }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_its_row_and_no_name_two() {
        let mut seen = std::collections::HashSet::new();
        for row in &ROWS {
            assert_eq!(row.family.row().gguf, row.gguf);
            assert!(
                seen.insert(row.gguf) && row.hub.iter().all(|name| Family::of_hub(name).is_some())
            );
        }
    }
}
