//! Nodes that do nothing, for tests of what happens to them.

use qnetsim::contract::{Effects, Here, NodeId, Nodes, Protocol};

/// Neither sends nor remembers anything.
pub(crate) struct Idle;

impl Protocol for Idle {
    type Message = ();
    type Timer = ();
    type State = ();
    fn kinds(&self) -> &'static [&'static str] {
        &["nothing"]
    }
    fn wire_len(&self, (): &(), _: usize) -> u32 {
        0
    }
    fn state(&self, _: Nodes) {}
    fn handle_start(&self, (): &mut (), _: Here, _: &mut impl Effects<Self>) {}
    fn handle_message(&self, (): &mut (), _: Here, _: NodeId, (): (), _: &[u8], _: &mut impl Effects<Self>) {}
    fn handle_timer(&self, (): &mut (), _: Here, (): (), _: &mut impl Effects<Self>) {}
}
