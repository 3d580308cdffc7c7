//! Imports to a server: whole or not at all, in partitions and plain.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use qnetsim::registry::disk::{DiskOptions, open_registry};
use qnetsim::registry::import::{ImportError, ImportOptions, import};
use qnetsim::registry::migrate::Registry;
use qnetsim::registry::population::Population;
use qnetsim::registry::record::Endorsement;
use qnetsim::registry::server::{Form, ServerError, ServerOptions, ServerRegistry, import_to};
use qnetsim::registry::{CacheSizes, DatabaseError, Listing, Operations, UserRegistryConsensus};

use crate::server::Server;
use crate::suite::is_sound;
use crate::{schema, shared};

fn sorted(mut endorsements: Vec<Endorsement>) -> Vec<Endorsement> {
    endorsements.sort_by_key(|endorsement| endorsement.endorser);
    endorsements
}

/// Both hold the same users, who have the same endorsements.
fn are_alike(one: &impl Operations, other: &impl Operations) {
    assert_eq!(one.counters().expect("reads").users, other.counters().expect("reads").users);
    assert_eq!(one.counters().expect("reads").endorsements, other.counters().expect("reads").endorsements);
    for found in one.list(Listing::All) {
        let user = found.expect("reads");
        let endorsements = sorted(one.endorsements_of(&user.key).expect("reads"));
        assert_eq!(sorted(other.endorsements_of(&user.key).expect("reads")), endorsements);
        assert_eq!(other.get_user(&user.key).expect("reads"), Some(user));
    }
}

#[test]
fn a_registry_moves_to_a_server_and_back_to_a_folder() {
    let server = shared();
    let population = Population::new(1, 1_500, 5);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = |name: &str| {
        let options = DiskOptions { create: false, ..DiskOptions::default() };
        let database = open_registry(&folder.path().join(name), &options, CacheSizes::default());
        UserRegistryConsensus::new(database.expect("opens"))
    };
    let options = ImportOptions::default();
    import(&folder.path().join("first"), &population, &options, &mut |_, _, _| ()).expect("imports");
    let first = open("first");
    for form in [None, Some(Form::Plain)] {
        let to = ServerOptions { form, ..server.options(&schema()) };
        let imported = import_to(&to, &Registry::new(&first), &options, &mut |_, _, _| ()).expect("imports");
        assert_eq!((imported.users, imported.verified, imported.endorsements), (1_500, 1_500, 7_500));
        let registry = ServerRegistry::open(&ServerOptions { create: false, ..to.clone() }).expect("opens");
        are_alike(&first, &registry);
        is_sound(&registry);
        let twice = import_to(&to, &population, &options, &mut |_, _, _| ()).expect_err("is there");
        assert!(matches!(twice, ImportError::Server(ServerError::Exists(_))), "{twice}");
        let name = form.map_or("back", Form::name);
        import(&folder.path().join(name), &Registry::new(&registry), &options, &mut |_, _, _| ()).expect("imports");
        are_alike(&registry, &open(name));
        // What was imported takes what comes after.
        registry.register_user(&Population::new(2, 1, 0).user(0)).expect("registers");
        is_sound(&registry);
        ServerRegistry::remove(&to).expect("removes");
    }
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_an_import_has_no_registry_and_takes_one() {
    let mut server = Server::start();
    let population = Population::new(1, 40_000, 2);
    for form in [Form::Partitioned, Form::Plain] {
        let to = ServerOptions { form: Some(form), ..server.options(form.name()) };
        let is_writing = AtomicBool::new(false);
        let failed = std::thread::scope(|scope| {
            let running = scope.spawn(|| {
                import_to(&to, &population, &ImportOptions::default(), &mut |step, done, _| {
                    if step == qnetsim::registry::import::Step::Records && done > 0 {
                        is_writing.store(true, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(50));
                    }
                })
            });
            while !is_writing.load(Ordering::Relaxed) && !running.is_finished() {
                std::thread::sleep(Duration::from_millis(1));
            }
            server.kill();
            running.join().expect("ends").expect_err("the server is gone")
        });
        assert!(matches!(failed, ImportError::Server(_)), "{failed}");
        server.restart();
        let opened = ServerRegistry::open(&ServerOptions { create: false, ..to.clone() }).err().expect("is not there");
        let why = opened.to_string();
        assert!(why.contains("there is no registry") || why.contains("was cut off"), "{why}");
        assert!(matches!(opened, DatabaseError::Store(_)));
        import_to(&to, &population, &ImportOptions::default(), &mut |_, _, _| ()).expect("imports");
        let registry = ServerRegistry::open(&to).expect("opens");
        assert_eq!(registry.counters().expect("reads").endorsements, 80_000);
        is_sound(&registry);
    }
}
