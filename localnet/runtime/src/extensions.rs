//! The chain's own transaction extensions: what keeps doomed calls out of blocks.
//!
//! Five of them carry nothing on the wire. Their names and order are part of what a client signs.

mod guards;

use crate::{Runtime, RuntimeCall};
use codec::{Decode, DecodeWithMemTracking, Encode};
use frame_support::dispatch::DispatchInfo;
use scale_info::TypeInfo;
use sp_runtime::impl_tx_ext_default;
use sp_runtime::traits::{DispatchOriginOf, Implication, TransactionExtension, ValidateResult};
use sp_runtime::transaction_validity::{
    InvalidTransaction, TransactionSource, TransactionValidityError, UnknownTransaction,
    ValidTransaction,
};

/// Defines an extension that carries nothing and checks nothing.
macro_rules! silent {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(
            Encode, Decode, DecodeWithMemTracking, Clone, Eq, PartialEq, TypeInfo, Debug, Default,
        )]
        pub struct $name;

        impl TransactionExtension<RuntimeCall> for $name {
            const IDENTIFIER: &'static str = stringify!($name);
            type Implicit = ();
            type Val = ();
            type Pre = ();
            impl_tx_ext_default!(RuntimeCall; weight validate prepare);
        }
    )*};
}

silent! {
    /// On the chain: a sudo call must come from the sudo key. `Sudo` refuses others itself.
    SudoTransactionExtension;
    /// On the chain: pulses of the beacon go first. Here they come by inherent.
    DrandPriority;
}

/// Longest life of a shielded transaction in blocks: it must be gone before its key rotates.
const MAX_SHIELD_ERA_BLOCKS: u64 = 8;

/// A shielded transaction must be long enough to hold a key hash.
#[derive(Encode, Decode, DecodeWithMemTracking, Clone, Eq, PartialEq, TypeInfo, Debug, Default)]
pub struct CheckShieldedTxValidity;

/// Code of a shielded transaction that cannot be parsed.
const SHIELD_UNPARSABLE: u8 = 23;
/// Shortest ciphertext: key hash and length of the encapsulated key.
const SHORTEST_CIPHERTEXT: usize = 18;

impl TransactionExtension<RuntimeCall> for CheckShieldedTxValidity {
    const IDENTIFIER: &'static str = "CheckShieldedTxValidity";
    type Implicit = ();
    type Val = ();
    type Pre = ();

    fn validate(
        &self,
        origin: DispatchOriginOf<RuntimeCall>,
        call: &RuntimeCall,
        _info: &DispatchInfo,
        _len: usize,
        _implicit: (),
        _inherited: &impl Implication,
        _source: TransactionSource,
    ) -> ValidateResult<(), RuntimeCall> {
        if let RuntimeCall::MevShield(crate::shield::pallet::Call::submit_encrypted { ciphertext }) =
            call
            && ciphertext.len() < SHORTEST_CIPHERTEXT
        {
            return Err(InvalidTransaction::Custom(SHIELD_UNPARSABLE).into());
        }
        Ok((ValidTransaction::default(), (), origin))
    }

    impl_tx_ext_default!(RuntimeCall; weight prepare);
}

/// Refuses calls that would fail, with a code for each reason.
#[derive(Encode, Decode, DecodeWithMemTracking, Clone, Eq, PartialEq, TypeInfo, Debug, Default)]
pub struct SubtensorTransactionExtension;

impl TransactionExtension<RuntimeCall> for SubtensorTransactionExtension {
    const IDENTIFIER: &'static str = "SubtensorTransactionExtension";
    type Implicit = ();
    type Val = ();
    type Pre = ();

    fn validate(
        &self,
        origin: DispatchOriginOf<RuntimeCall>,
        call: &RuntimeCall,
        _info: &DispatchInfo,
        _len: usize,
        _implicit: (),
        _inherited: &impl Implication,
        _source: TransactionSource,
    ) -> ValidateResult<(), RuntimeCall> {
        if let Ok(who) = frame_system::ensure_signed(origin.clone()) {
            guards::check(&who, call)
                .map_err(|error| InvalidTransaction::Custom(guards::code(&error)))?;
        }
        Ok((ValidTransaction::default(), (), origin))
    }

    impl_tx_ext_default!(RuntimeCall; weight prepare);
}

/// Mortality with the chain's rule for shielded transactions: they live at most eight blocks.
#[derive(Encode, Decode, DecodeWithMemTracking, Clone, Eq, PartialEq, TypeInfo, Debug)]
pub struct CheckMortality(sp_runtime::generic::Era);

impl CheckMortality {
    /// A transaction that lives for `era`.
    pub fn from(era: sp_runtime::generic::Era) -> Self {
        Self(era)
    }

    fn standard(&self) -> frame_system::CheckMortality<Runtime> {
        frame_system::CheckMortality::from(self.0)
    }

    /// Whether a shielded transaction would outlive its key.
    fn outlives_shield(&self, call: &RuntimeCall) -> bool {
        let is_shielded = matches!(
            call,
            RuntimeCall::MevShield(crate::shield::pallet::Call::submit_encrypted { .. })
        );
        let is_short = match self.0 {
            sp_runtime::generic::Era::Immortal => false,
            sp_runtime::generic::Era::Mortal(period, _) => period <= MAX_SHIELD_ERA_BLOCKS,
        };
        is_shielded && !is_short
    }
}

impl TransactionExtension<RuntimeCall> for CheckMortality {
    const IDENTIFIER: &'static str = "CheckMortality";
    type Implicit = sp_core::H256;
    type Val = ();
    type Pre = ();

    fn implicit(&self) -> Result<sp_core::H256, TransactionValidityError> {
        TransactionExtension::<RuntimeCall>::implicit(&self.standard())
    }

    fn validate(
        &self,
        origin: DispatchOriginOf<RuntimeCall>,
        call: &RuntimeCall,
        info: &DispatchInfo,
        len: usize,
        implicit: sp_core::H256,
        inherited: &impl Implication,
        source: TransactionSource,
    ) -> ValidateResult<(), RuntimeCall> {
        if self.outlives_shield(call) {
            return Err(InvalidTransaction::Stale.into());
        }
        let (valid, _, origin) =
            self.standard().validate(origin, call, info, len, implicit, inherited, source)?;
        Ok((valid, (), origin))
    }

    impl_tx_ext_default!(RuntimeCall; weight prepare);
}

/// Nonces, where a fee-free call needs no funded account: a hotkey without TAO sets weights.
#[derive(Encode, Decode, DecodeWithMemTracking, Clone, Eq, PartialEq, TypeInfo, Debug)]
pub struct CheckNonce(#[codec(compact)] crate::Nonce);

impl CheckNonce {
    /// A transaction with this nonce.
    pub fn from(nonce: crate::Nonce) -> Self {
        Self(nonce)
    }
}

impl TransactionExtension<RuntimeCall> for CheckNonce {
    const IDENTIFIER: &'static str = "CheckNonce";
    type Implicit = ();
    type Val = Option<crate::AccountId>;
    type Pre = ();

    fn validate(
        &self,
        origin: DispatchOriginOf<RuntimeCall>,
        _call: &RuntimeCall,
        info: &DispatchInfo,
        _len: usize,
        _implicit: (),
        _inherited: &impl Implication,
        _source: TransactionSource,
    ) -> ValidateResult<Self::Val, RuntimeCall> {
        let Ok(who) = frame_system::ensure_signed(origin.clone()) else {
            return Ok((ValidTransaction::default(), None, origin));
        };
        let account = frame_system::Account::<Runtime>::get(&who);
        let is_free = info.pays_fee == frame_support::dispatch::Pays::No;
        if account.providers == 0 && account.sufficients == 0 && !is_free {
            return Err(InvalidTransaction::Payment.into());
        }
        if self.0 < account.nonce {
            return Err(InvalidTransaction::Stale.into());
        }
        let tag = |nonce: crate::Nonce| vec![(who.clone(), nonce).encode()];
        let valid = ValidTransaction {
            requires: if account.nonce < self.0 { tag(self.0.saturating_sub(1)) } else { vec![] },
            provides: tag(self.0),
            ..ValidTransaction::default()
        };
        Ok((valid, Some(who), origin))
    }

    fn prepare(
        self,
        who: Self::Val,
        _origin: &DispatchOriginOf<RuntimeCall>,
        _call: &RuntimeCall,
        _info: &DispatchInfo,
        _len: usize,
    ) -> Result<Self::Pre, TransactionValidityError> {
        let Some(who) = who else { return Ok(()) };
        let expected = frame_system::Account::<Runtime>::get(&who).nonce;
        if self.0 > expected {
            return Err(InvalidTransaction::Future.into());
        }
        if self.0 < expected {
            return Err(InvalidTransaction::Stale.into());
        }
        frame_system::Account::<Runtime>::mutate(&who, |account| {
            account.nonce = account.nonce.saturating_add(1);
        });
        Ok(())
    }

    impl_tx_ext_default!(RuntimeCall; weight);
}

/// Whether a signature commits to the metadata.
#[derive(Encode, Decode, DecodeWithMemTracking, Clone, Copy, Eq, PartialEq, TypeInfo, Debug)]
enum Mode {
    Disabled,
    Enabled,
}

/// A signature may commit to the metadata by which its signer read the call, as hardware wallets do.
#[derive(Encode, Decode, DecodeWithMemTracking, Clone, Eq, PartialEq, TypeInfo, Debug)]
pub struct CheckMetadataHash {
    mode: Mode,
}

impl CheckMetadataHash {
    /// A transaction whose signature commits to the metadata, or not.
    pub fn new(enable: bool) -> Self {
        Self { mode: if enable { Mode::Enabled } else { Mode::Disabled } }
    }
}

impl TransactionExtension<RuntimeCall> for CheckMetadataHash {
    const IDENTIFIER: &'static str = "CheckMetadataHash";
    type Implicit = Option<[u8; 32]>;
    type Val = ();
    type Pre = ();

    fn implicit(&self) -> Result<Self::Implicit, TransactionValidityError> {
        match self.mode {
            Mode::Disabled => Ok(None),
            Mode::Enabled => crate::shown::metadata_digest()
                .map(Some)
                .ok_or_else(|| UnknownTransaction::CannotLookup.into()),
        }
    }

    impl_tx_ext_default!(RuntimeCall; weight validate prepare);
}
