//! The logic that would run in a real node, sans-IO: it knows the contract and no engine.

pub mod adaptive;
pub mod consensus;
pub mod detector;
pub mod dissemination;
pub mod full_mesh;
pub mod gossip;
pub mod heartbeat;
pub mod hierarchy;
pub mod kademlia;
pub mod layer;
pub mod ledger;
pub mod mobile;
pub mod recommended;
#[cfg(test)]
mod recorder;
pub mod registry;
pub mod router;
pub mod rumour;
pub mod sampled;
pub mod sampler;
pub mod sharding;
pub mod swim;
pub mod wire;
