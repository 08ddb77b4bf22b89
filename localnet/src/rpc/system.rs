//! `system_*` and `payment_*`: who the node is, nonces and fees.

use super::{Args, RegisterError, Registry, RpcError, hex, state::decoded};
use crate::node::Node;
use codec::Encode;
use pallet_transaction_payment_rpc_runtime_api::{FeeDetails, RuntimeDispatchInfo};
use serde_json::{Value, json};

/// What the chain is called.
pub(super) const CHAIN: &str = "Bittensor Local";

/// What amounts and addresses look like.
pub(super) fn properties() -> Value {
    json!({ "ss58Format": 42, "tokenDecimals": 9, "tokenSymbol": "TAO" })
}

pub(super) fn register(methods: &mut Registry) -> Result<(), RegisterError> {
    methods.method(&["system_chain"], |_, _| Ok(CHAIN))?;
    methods.method(&["system_name"], |_, _| Ok("ganglion localnet"))?;
    methods.method(&["system_version"], |_, _| Ok(env!("CARGO_PKG_VERSION")))?;
    methods.method(&["system_chainType"], |_, _| Ok("Local"))?;
    methods.method(&["system_peers"], |_, _| Ok(json!([])))?;
    methods.method(&["system_nodeRoles"], |_, _| Ok(json!(["Authority"])))?;
    methods.method(&["system_health"], |_, _| {
        Ok(json!({ "peers": 0, "isSyncing": false, "shouldHavePeers": false }))
    })?;
    methods.method(&["system_syncState"], |node, _| {
        let best = node.chain.best().header.number;
        Ok(json!({ "startingBlock": 0, "currentBlock": best, "highestBlock": best }))
    })?;
    methods.method(&["system_properties"], |_, _| Ok(properties()))?;
    methods.blocking(&["system_dryRun", "system_dryRunAt"], |node, mut args| {
        let extrinsic = args.bytes()?;
        let at = args.block(node)?;
        Ok(hex(node.dry_run(&at, &extrinsic)?.encode()))
    })?;
    methods.method(&["system_accountNextIndex", "account_nextIndex"], |node, mut args| {
        Ok(node.next_nonce(&args.account()?)?)
    })?;
    methods.method(&["payment_queryInfo"], |node, args| {
        let method = "TransactionPaymentApi_query_info";
        let info: RuntimeDispatchInfo<u64> = decoded(method, &fee_call(node, args, method)?)?;
        let weight = json!({
            "ref_time": info.weight.ref_time(), "proof_size": info.weight.proof_size(),
        });
        let class = format!("{:?}", info.class).to_lowercase();
        Ok(json!({
            "weight": weight, "class": class, "partialFee": info.partial_fee.to_string(),
        }))
    })?;
    methods.method(&["payment_queryFeeDetails"], |node, args| {
        let method = "TransactionPaymentApi_query_fee_details";
        let fees: FeeDetails<u64> = decoded(method, &fee_call(node, args, method)?)?;
        let inclusion = fees.inclusion_fee.map(|fee| {
            json!({
                "baseFee": format!("{:#x}", fee.base_fee),
                "lenFee": format!("{:#x}", fee.len_fee),
                "adjustedWeightFee": format!("{:#x}", fee.adjusted_weight_fee),
            })
        });
        Ok::<Value, RpcError>(json!({ "inclusionFee": inclusion }))
    })
}

/// A fee API's answer about an extrinsic: the API takes it and its length.
fn fee_call(node: &Node, mut args: Args, method: &str) -> Result<Vec<u8>, RpcError> {
    let mut arguments = args.bytes()?;
    let at = args.block(node)?;
    let length = u32::try_from(arguments.len()).unwrap_or(u32::MAX);
    length.encode_to(&mut arguments);
    tracing::trace!(method, extrinsic = hex(&arguments), "fee asked");
    Ok(node.call(&at, method, &arguments)?)
}
