//! Metadata as the runtime hands it out.

use codec::{Compact, Decode as _, Encode as _};
use subxt::utils::H256;

use crate::{ReadError, at::Rpc};

/// Metadata versions we can read, best first.
const VERSIONS: [u32; 3] = [16, 15, 14];

/// The best version that the runtime of a block offers.
pub(crate) async fn fetch(rpc: &Rpc, at: H256) -> Result<Vec<u8>, ReadError> {
    let shape = |source| ReadError::shape("the runtime's metadata", source);
    for version in VERSIONS {
        let method = "Metadata_metadata_at_version";
        let answer = rpc.state_call(method, Some(&version.encode()), Some(at)).await?;
        if let Some(opaque) = Option::<Vec<u8>>::decode(&mut &*answer).map_err(shape)? {
            return Ok(opaque);
        }
    }
    let answer = rpc.state_call("Metadata_metadata", None, Some(at)).await?;
    let mut bytes = &*answer;
    Compact::<u32>::decode(&mut bytes).map_err(shape)?;
    Ok(bytes.to_vec())
}
