//! JSON-RPC errors with the codes and texts of a Substrate node: clients match on them.

use crate::{
    author::AuthorError,
    chain::{StateError, VerifyError},
    execution::CallError,
    node::{NodeError, ReplaceError, SnapshotError, SubmitError},
    operator::OperatorError,
    pool::PoolRefusal,
};
use jsonrpsee::types::ErrorObjectOwned;
use sp_runtime::transaction_validity::InvalidTransaction;

const INVALID_PARAMS: i32 = -32602;
/// An extrinsic that does not decode, or stopped the runtime.
const VERIFICATION: i32 = 1002;
const POOL_INVALID: i32 = 1010;
const POOL_UNKNOWN: i32 = 1011;
const POOL_ALREADY_IMPORTED: i32 = 1013;
const POOL_TOO_LOW_PRIORITY: i32 = 1014;
const POOL_IMMEDIATELY_DROPPED: i32 = 1016;
const CLIENT: i32 = 4003;
/// A block that the follower has not pinned.
const INVALID_BLOCK: i32 = -32801;
/// A development method could not do it.
const DEVELOPMENT: i32 = 4100;

/// An answer that is not one.
#[derive(Debug)]
pub(crate) struct RpcError {
    code: i32,
    message: String,
    data: Option<String>,
}

impl RpcError {
    fn new(code: i32, message: impl Into<String>, data: impl Into<Option<String>>) -> Self {
        Self { code, message: message.into(), data: data.into() }
    }

    pub(crate) fn params(why: String) -> Self {
        Self::new(INVALID_PARAMS, "Invalid params", why)
    }

    pub(crate) fn invalid_block() -> Self {
        Self::new(INVALID_BLOCK, "Invalid block hash", None)
    }

    pub(crate) fn development(why: String) -> Self {
        Self::new(DEVELOPMENT, why, None)
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        Self::owned(error.code, error.message, error.data)
    }
}

impl From<StateError> for RpcError {
    fn from(error: StateError) -> Self {
        Self::new(CLIENT, format!("Client error: UnknownBlock: {error}"), None)
    }
}

impl From<CallError> for RpcError {
    fn from(error: CallError) -> Self {
        Self::new(CLIENT, format!("Client error: Execution failed: Other: {error}"), None)
    }
}

impl From<NodeError> for RpcError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::State(error) => error.into(),
            NodeError::Execution(error) => error.into(),
        }
    }
}

impl From<VerifyError> for RpcError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::State(error) => error.into(),
            VerifyError::Execution(error) => error.into(),
        }
    }
}

impl From<AuthorError> for RpcError {
    fn from(error: AuthorError) -> Self {
        Self::development(error.to_string())
    }
}

impl From<OperatorError> for RpcError {
    fn from(error: OperatorError) -> Self {
        match error {
            OperatorError::Submit(error) => error.into(),
            error => Self::development(error.to_string()),
        }
    }
}

impl From<SnapshotError> for RpcError {
    fn from(error: SnapshotError) -> Self {
        Self::development(error.to_string())
    }
}

impl From<ReplaceError> for RpcError {
    fn from(error: ReplaceError) -> Self {
        Self::development(error.to_string())
    }
}

impl From<SubmitError> for RpcError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Undecodable(error) => Self::new(
                VERIFICATION,
                "Verification Error: Could not decode the extrinsic",
                error.to_string(),
            ),
            SubmitError::Execution(error) => {
                Self::new(VERIFICATION, "Verification Error: Runtime error", error.to_string())
            }
            SubmitError::Invalid(InvalidTransaction::Custom(code)) => {
                Self::new(POOL_INVALID, "Invalid Transaction", format!("Custom error: {code}"))
            }
            SubmitError::Invalid(why) => {
                Self::new(POOL_INVALID, "Invalid Transaction", <&str>::from(why).to_owned())
            }
            SubmitError::Unknown(why) => Self::new(
                POOL_UNKNOWN,
                "Unknown Transaction Validity",
                <&str>::from(why).to_owned(),
            ),
            SubmitError::Pool(refusal) => refusal.into(),
            SubmitError::Author(error) => error.into(),
            SubmitError::State(error) => error.into(),
        }
    }
}

impl From<PoolRefusal> for RpcError {
    fn from(refusal: PoolRefusal) -> Self {
        match refusal {
            PoolRefusal::AlreadyImported(hash) => Self::new(
                POOL_ALREADY_IMPORTED,
                "Transaction Already Imported",
                format!("[{hash:?}] Already imported"),
            ),
            PoolRefusal::PriorityTooLow { old, new } => Self::new(
                POOL_TOO_LOW_PRIORITY,
                format!("Priority is too low: ({old} vs {new})"),
                "The transaction has too low priority to replace another transaction already in \
                 the pool."
                    .to_owned(),
            ),
            PoolRefusal::Full => Self::new(
                POOL_IMMEDIATELY_DROPPED,
                "Immediately Dropped",
                "The transaction couldn't enter the pool because of the limit".to_owned(),
            ),
        }
    }
}
