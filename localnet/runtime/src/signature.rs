//! Signatures, and the accounts that need none.

use crate::AccountId;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::{Type, TypeInfo};
use sp_runtime::traits::{Lazy, Verify};
use sp_runtime::{MultiSignature, MultiSigner};

/// Raw storage prefix of impersonated accounts: a key of this prefix and an account's bytes makes
/// every signature by that account good. Only root can write one, with `System.set_storage`.
pub const IMPERSONATION_PREFIX: &[u8] = b":dev:impersonate:";

/// A signature of any of the three schemes, on the wire and in metadata a [`MultiSignature`].
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen)]
pub struct Signature(pub MultiSignature);

impl From<MultiSignature> for Signature {
    fn from(signature: MultiSignature) -> Self {
        Self(signature)
    }
}

impl TypeInfo for Signature {
    type Identity = MultiSignature;

    fn type_info() -> Type {
        MultiSignature::type_info()
    }
}

impl Verify for Signature {
    type Signer = MultiSigner;

    fn verify<L: Lazy<[u8]>>(&self, message: L, signer: &AccountId) -> bool {
        is_impersonated(signer) || self.0.verify(message, signer)
    }
}

fn is_impersonated(account: &AccountId) -> bool {
    let key = [IMPERSONATION_PREFIX, AsRef::<[u8]>::as_ref(account)].concat();
    sp_io::storage::exists(&key)
}
