//! The targets under libFuzzer: `scripts/fuzz` builds and runs it.
#![no_main]

#[path = "../../targets.rs"]
mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

/// The target that `QNETSIM_FUZZ_TARGET` names.
static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let name = std::env::var("QNETSIM_FUZZ_TARGET").expect("QNETSIM_FUZZ_TARGET names a target");
    let found = targets::TARGETS.iter().find(|(other, _)| *other == name);
    found.unwrap_or_else(|| panic!("{name} is none of {:?}", targets::TARGETS.map(|(name, _)| name))).1
});

fuzz_target!(
    init: {
        // What to begin with goes where libFuzzer will look for it.
        if let (Ok(folder), Ok(name)) = (std::env::var("QNETSIM_FUZZ_CORPUS"), std::env::var("QNETSIM_FUZZ_TARGET")) {
            for (number, seed) in targets::seeds(&name).iter().enumerate() {
                std::fs::write(format!("{folder}/seed-{number}"), seed).expect("the folder can be written to");
            }
        }
    },
    |data: &[u8]| {
        (*TARGET)(data);
    }
);
