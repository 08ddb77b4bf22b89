//! `chain_*`: blocks, headers, hashes.

use super::{Args, RegisterError, Registry, RpcError, hex};
use crate::{chain::Block, node::Node};
use codec::Encode;
use serde_json::{Value, json};

pub(super) fn register(methods: &mut Registry) -> Result<(), RegisterError> {
    methods.method(&["chain_getBlockHash", "chain_getHead"], block_hash)?;
    methods.method(&["chain_getFinalizedHead", "chain_getFinalisedHead"], |node, _| {
        Ok(node.finalized().hash)
    })?;
    methods.method(&["chain_getHeader"], |node, mut args| {
        let hash = args.block(node)?;
        Ok(node.chain.block(&hash).map(|block| header(&block)))
    })?;
    methods.method(&["chain_getBlock"], |node, mut args| {
        let hash = args.block(node)?;
        Ok(node.chain.block(&hash).map(|block| {
            let extrinsics: Vec<String> = block.body.iter().map(hex).collect();
            let block = json!({ "header": header(&block), "extrinsics": extrinsics });
            json!({ "block": block, "justifications": null })
        }))
    })
}

/// Takes a number (decimal or hex), a list of numbers, or nothing (the youngest block).
fn block_hash(node: &Node, mut args: Args) -> Result<Value, RpcError> {
    let hash_of = |number: u64| -> Value {
        let number = u32::try_from(number).ok();
        let hash = number.and_then(|number| node.chain.hash_at(number));
        hash.map_or(Value::Null, |hash| json!(hash))
    };
    match args.next() {
        None => Ok(json!(node.chain.best().hash)),
        Some(Value::Array(numbers)) => {
            numbers.iter().map(|number| Ok(hash_of(args.number_in(number)?))).collect()
        }
        Some(number) => Ok(hash_of(args.number_in(&number)?)),
    }
}

/// A header as a Substrate node writes it.
pub(super) fn header(block: &Block) -> Value {
    let header = &block.header;
    let logs: Vec<String> = header.digest.logs.iter().map(|log| hex(log.encode())).collect();
    json!({
        "parentHash": header.parent_hash,
        "number": format!("{:#x}", header.number),
        "stateRoot": header.state_root,
        "extrinsicsRoot": header.extrinsics_root,
        "digest": { "logs": logs },
    })
}
