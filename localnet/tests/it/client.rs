//! A client written from the wire formats alone: it shares no code with the node.

use codec::{Compact, Encode};
use jsonrpsee::{
    core::{
        ClientError,
        client::{ClientT, Subscription, SubscriptionClientT},
    },
    rpc_params,
    ws_client::{WsClient, WsClientBuilder},
};
use localnet::{Config, Localnet};
use node_subtensor_runtime::RuntimeCall;
use serde_json::Value;
use sp_core::{H256, Pair, crypto::Ss58Codec, sr25519};

/// A running chain and a connection to it.
pub(crate) struct Client {
    pub(crate) chain: Localnet,
    pub(crate) rpc: WsClient,
}

pub(crate) async fn connect(config: Config) -> Client {
    let chain = localnet::spawn(config).unwrap();
    let rpc = WsClientBuilder::default().build(chain.url()).await.unwrap();
    Client { chain, rpc }
}

/// How an extrinsic is signed.
pub(crate) struct Signing {
    pub(crate) nonce: u32,
    pub(crate) tip: u64,
}

impl Client {
    pub(crate) async fn ask(&self, method: &str, params: impl Into<Vec<Value>>) -> Value {
        self.try_ask(method, params).await.unwrap()
    }

    pub(crate) async fn try_ask(
        &self,
        method: &str,
        params: impl Into<Vec<Value>>,
    ) -> Result<Value, ClientError> {
        let mut array = jsonrpsee::core::params::ArrayParams::new();
        for param in params.into() {
            array.insert(param).unwrap();
        }
        self.rpc.request(method, array).await
    }

    /// The error's code and everything it says.
    pub(crate) async fn refusal(
        &self,
        method: &str,
        params: impl Into<Vec<Value>>,
    ) -> (i32, String) {
        match self.try_ask(method, params).await {
            Err(ClientError::Call(error)) => {
                let data = error.data().map_or(String::new(), |data| data.get().to_owned());
                (error.code(), format!("{} {data}", error.message()))
            }
            other => panic!("{method} was not refused: {other:?}"),
        }
    }

    pub(crate) async fn subscribe(
        &self,
        subscribe: &str,
        unsubscribe: &str,
        param: Option<&str>,
    ) -> Subscription<Value> {
        let params = param.map_or(rpc_params![], |param| rpc_params![param]);
        self.rpc.subscribe(subscribe, params, unsubscribe).await.unwrap()
    }

    /// A signed extrinsic in the chain's format 4: immortal, signed over the genesis.
    pub(crate) async fn sign(&self, who: &str, call: &RuntimeCall, signing: Signing) -> Vec<u8> {
        self.sign_bytes(who, &call.encode(), signing).await
    }

    /// Signs what may be no call at all.
    pub(crate) async fn sign_bytes(&self, who: &str, call: &[u8], signing: Signing) -> Vec<u8> {
        let version = self.ask("state_getRuntimeVersion", []).await;
        let number = |field: &str| u32::try_from(version[field].as_u64().unwrap()).unwrap();
        let genesis = self.chain.genesis_hash();
        let pair = sr25519::Pair::from_string(who, None).unwrap();

        let (immortal, no_metadata_hash) = (0_u8, 0_u8);
        let extra =
            (immortal, Compact(signing.nonce), Compact(signing.tip), no_metadata_hash).encode();
        let implicit = (
            number("specVersion"),
            number("transactionVersion"),
            genesis,
            genesis,
            Option::<H256>::None,
        );
        let mut payload = call.to_vec();
        payload.extend_from_slice(&extra);
        implicit.encode_to(&mut payload);
        if payload.len() > 256 {
            payload = sp_io::hashing::blake2_256(&payload).to_vec();
        }
        let (signed_v4, id, sr25519_signature) = (0x84_u8, 0_u8, 1_u8);
        let mut body = (signed_v4, id, pair.public().0, sr25519_signature).encode();
        body.extend_from_slice(pair.sign(&payload).as_ref());
        body.extend_from_slice(&extra);
        body.extend_from_slice(call);
        body.encode()
    }

    /// Signs with the account's next nonce.
    pub(crate) async fn signed(&self, who: &str, call: &RuntimeCall) -> Vec<u8> {
        let nonce = self.next_nonce(who).await;
        self.sign(who, call, Signing { nonce, tip: 0 }).await
    }

    pub(crate) async fn next_nonce(&self, who: &str) -> u32 {
        let nonce = self.ask("system_accountNextIndex", [address(who).into()]).await;
        u32::try_from(nonce.as_u64().unwrap()).unwrap()
    }

    pub(crate) async fn submit(&self, extrinsic: &[u8]) -> Value {
        self.ask("author_submitExtrinsic", [hex(extrinsic).into()]).await
    }

    /// Free rao of an account.
    pub(crate) async fn balance(&self, who: &str) -> u64 {
        let account: [u8; 32] = public(who).0;
        let mut key = sp_io::hashing::twox_128(b"System").to_vec();
        key.extend(sp_io::hashing::twox_128(b"Account"));
        key.extend(sp_io::hashing::blake2_128(&account));
        key.extend(account);
        let info = self.ask("state_getStorage", [hex(&key).into()]).await;
        let info = unhex(info.as_str().unwrap());
        let (counters, free) = (16, 8);
        u64::from_le_bytes(info[counters..counters + free].try_into().unwrap())
    }

    pub(crate) async fn state_root(&self) -> Value {
        self.ask("chain_getHeader", []).await["stateRoot"].clone()
    }
}

pub(crate) fn public(who: &str) -> sr25519::Public {
    sr25519::Pair::from_string(who, None).unwrap().public()
}

pub(crate) fn address(who: &str) -> String {
    public(who).to_ss58check()
}

pub(crate) fn transfer(to: &str, rao: u64) -> RuntimeCall {
    RuntimeCall::Balances(pallet_balances::Call::transfer_keep_alive {
        dest: sp_runtime::MultiAddress::Id(public(to).into()),
        value: rao,
    })
}

pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text.strip_prefix("0x").unwrap()).unwrap()
}
