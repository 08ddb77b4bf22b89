//! Hyperparameters: who may set which, within which bounds.

/// The pallet.
#[frame_support::pallet]
pub mod pallet {
    use crate::subtensor;

    /// Nothing to decide.
    #[pallet::config]
    pub trait Config: frame_system::Config + subtensor::Config {}

    /// The pallet.
    #[pallet::pallet]
    pub struct Pallet<T>(_);
}
