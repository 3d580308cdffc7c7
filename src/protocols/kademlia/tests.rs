//! Tests of Kademlia, without an engine.
