//! The router without an engine.
