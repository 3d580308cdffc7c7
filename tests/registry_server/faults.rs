//! A server that is killed, and connections that break, in the middle of writes: nothing acknowledged is lost, nothing is
//! done twice or by halves, and nothing is called failed that was done.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use qnetsim::registry::rules::Refusal;
use qnetsim::registry::server::{ServerOptions, ServerRegistry};
use qnetsim::registry::{DatabaseError, Operations};

use crate::server::Server;
use crate::suite::{endorsement, hashed, is_sound, key, user};

const WRITERS: u64 = 4;

/// What was acknowledged: users, and pairs of endorsed and endorser.
#[derive(Default)]
struct Acknowledged {
    users: BTreeSet<u64>,
    endorsements: BTreeSet<(u64, u64)>,
}

/// Registers and endorses until it is told to end. Nobody else writes the same, so a refusal would be that of a change that
/// was repeated after it was done.
fn write(registry: &ServerRegistry, writer: u64, first: u64, ended: &AtomicBool, said: &Mutex<Acknowledged>) {
    for round in 0.. {
        if ended.load(Ordering::Relaxed) {
            break;
        }
        let number = first + round * WRITERS + writer;
        registry.register_user(&user(number)).expect("registers, whatever breaks");
        said.lock().expect("is whole").users.insert(number);
        for before in (1..=2).filter(|&before| before <= round) {
            let endorser = number - before * WRITERS;
            registry.submit_endorsement(&endorsement(number, endorser)).expect("counts, whatever breaks");
            said.lock().expect("is whole").endorsements.insert((number, endorser));
        }
        if round % 8 == 7 {
            let batch: Vec<_> = (0..20).map(|place| user(number + (1 << 40) + place * (1 << 30))).collect();
            registry.store_batch(&batch).expect("stores, whatever breaks");
            said.lock().expect("is whole").users.extend((0..20).map(|place| number + (1 << 40) + place * (1 << 30)));
            assert!(registry.delete_user(&batch[0].key).expect("deletes, whatever breaks"), "it was there");
            said.lock().expect("is whole").users.remove(&(number + (1 << 40)));
        }
    }
}

/// All that was acknowledged is there, and what is there was acknowledged.
fn look(registry: &ServerRegistry, said: &Acknowledged) {
    for &number in &said.users {
        let found = registry.get_user(&key(number)).expect("reads").unwrap_or_else(|| panic!("{number} is lost"));
        assert_eq!(found.government_id, user(number).government_id);
        assert_eq!(registry.lookup_by_government_id(&found.government_id).expect("reads"), Some(key(number)));
    }
    for &(endorsed, endorser) in &said.endorsements {
        let found = registry.endorsements_of(&key(endorsed)).expect("reads");
        assert!(found.contains(&endorsement(endorsed, endorser)), "{endorsed} by {endorser} is lost");
    }
    let counters = registry.counters().expect("reads");
    assert_eq!(counters.users, said.users.len() as u64, "nobody is there whose registration was not acknowledged");
    assert_eq!(counters.endorsements, said.endorsements.len() as u64);
    is_sound(registry);
}

/// Writes on all threads while `breaks` breaks something so many times, then looks at what is there.
fn survives(server: &mut Server, schema: &str, times: u64, mut breaks: impl FnMut(&mut Server, u64)) {
    let registry = ServerRegistry::open(&server.options(schema)).expect("founds");
    let (ended, said) = (AtomicBool::new(false), Mutex::default());
    std::thread::scope(|scope| {
        let start = |writer| {
            let (registry, ended, said) = (&registry, &ended, &said);
            scope.spawn(move || write(registry, writer, 0, ended, said))
        };
        let writers: Vec<_> = (0..WRITERS).map(start).collect();
        for time in 0..times {
            let draw = hashed("break", time);
            std::thread::sleep(Duration::from_millis(20 + u64::from(draw[0])));
            let before = said.lock().expect("is whole").users.len();
            breaks(server, time);
            // Writers have gone on before it happens again.
            for _ in 0..3_000 {
                let have_failed = writers.iter().any(|writer| writer.is_finished());
                if have_failed || said.lock().expect("is whole").users.len() > before + 4 {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        ended.store(true, Ordering::Relaxed);
    });
    let said = said.into_inner().expect("is whole");
    assert!(said.users.len() as u64 > times * 4, "{} users in {times} times", said.users.len());
    look(&registry, &said);
    look(&ServerRegistry::open(&server.options(schema)).expect("opens"), &said);
}

fn kill(server: &mut Server, _: u64) {
    server.kill();
    server.restart();
}

/// Ends all connections of the registry from the side of the server, whatever they do.
fn disconnect(server: &mut Server, _: u64) {
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'qnetsim'");
}

#[test]
fn writes_survive_a_server_that_is_killed_and_connections_that_break() {
    let mut server = Server::start();
    survives(&mut server, "killed", 6, kill);
    survives(&mut server, "disconnected", 25, disconnect);
}

#[test]
#[ignore = "takes minutes: cargo test --features postgres --test registry_server -- --ignored --nocapture hundreds"]
fn writes_survive_hundreds_of_kills_and_broken_connections() {
    let mut server = Server::start();
    survives(&mut server, "killed", 100, kill);
    survives(&mut server, "disconnected", 400, disconnect);
}

/// What a proxy does with what it carries to the server.
mod proxy {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A port that leads to `to` on this machine. Of commits, one in `every` loses its connection: by turns before the
    /// server has got it, and after, before anybody has its answer. Counts those.
    pub(super) fn cutting_commits(to: u16, every: u64, cut: &Arc<AtomicU64>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("is bound").port();
        let (commits, cut) = (Arc::new(AtomicU64::new(0)), Arc::clone(cut));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("is accepted");
                let server = TcpStream::connect(("127.0.0.1", to)).expect("connects");
                let (back, to_client) = (server.try_clone().expect("clones"), client.try_clone().expect("clones"));
                std::thread::spawn(move || drop(carry(back, to_client, |_| Fate::Carry)));
                let (commits, cut) = (Arc::clone(&commits), Arc::clone(&cut));
                std::thread::spawn(move || {
                    let fate = |bytes: &[u8]| {
                        // A commit is a simple query of its own: its kind, its length, the text.
                        if !bytes.windows(7).any(|window| window == b"COMMIT\0") {
                            return Fate::Carry;
                        }
                        let number = commits.fetch_add(1, Ordering::Relaxed);
                        if number % every != every - 1 {
                            return Fate::Carry;
                        }
                        cut.fetch_add(1, Ordering::Relaxed);
                        if (number / every).is_multiple_of(2) { Fate::Lose } else { Fate::LoseAnswer }
                    };
                    drop(carry(client, server, fate));
                });
            }
        });
        port
    }

    enum Fate {
        Carry,
        Lose,
        LoseAnswer,
    }

    fn carry(mut from: TcpStream, mut to: TcpStream, fate: impl Fn(&[u8]) -> Fate) -> std::io::Result<()> {
        let mut buffer = [0; 1 << 16];
        loop {
            let count = from.read(&mut buffer)?;
            let fate = fate(&buffer[..count]);
            if matches!(fate, Fate::LoseAnswer) {
                // The client hears no more; the server gets what was sent, and works on it.
                let _ = from.shutdown(Shutdown::Both);
            }
            if count == 0 || matches!(fate, Fate::Lose) {
                let _ = from.shutdown(Shutdown::Both);
                return to.shutdown(Shutdown::Both);
            }
            to.write_all(&buffer[..count])?;
        }
    }
}

#[test]
fn a_commit_without_an_answer_is_looked_up_and_neither_repeated_nor_called_failed() {
    let server = Server::start();
    let port: u16 =
        server.url().rsplit(':').next().and_then(|rest| rest.split('/').next()?.parse().ok()).expect("a port");
    let cut = std::sync::Arc::new(AtomicU64::new(0));
    let proxied = proxy::cutting_commits(port, 5, &cut);
    ServerRegistry::open(&server.options("cut")).expect("founds");
    let mut options = server.options("cut");
    // Commits can be seen only where nothing is encrypted.
    options.url = server.url().replace(&port.to_string(), &proxied.to_string()) + "?sslmode=disable";
    let registry = ServerRegistry::open(&options).expect("opens");
    let mut said = Acknowledged::default();
    for number in 0..120 {
        registry.register_user(&user(number)).expect("registers once");
        said.users.insert(number);
        if number > 0 {
            registry.submit_endorsement(&endorsement(number, number - 1)).expect("counts once");
            said.endorsements.insert((number, number - 1));
            let again = registry.submit_endorsement(&endorsement(number, number - 1));
            assert!(matches!(again, Err(DatabaseError::Refused(Refusal::EndorsedAlready))));
        }
    }
    let cut = cut.load(Ordering::Relaxed);
    assert!(cut >= 40, "{cut} commits lost their connection");
    look(&ServerRegistry::open(&server.options("cut")).expect("opens"), &said);
}

#[test]
fn a_server_that_is_gone_is_an_error_after_a_bounded_time() {
    let mut server = Server::start();
    let registry = ServerRegistry::open(&ServerOptions { tries: 12, ..server.options("gone") }).expect("founds");
    registry.register_user(&user(0)).expect("registers");
    server.kill();
    let error = registry.register_user(&user(1)).expect_err("nobody is there").to_string();
    assert!(error.contains("cannot reach postgres://tester@"), "{error}");
    server.restart();
    registry.register_user(&user(1)).expect("registers again");
    assert_eq!(registry.counters().expect("reads").users, 2);
}

/// Two processes: each has its own connections and rows of counters.
#[test]
fn a_writer_whose_row_is_taken_by_another_takes_another() {
    let server = Server::start();
    let registry = ServerRegistry::open(&server.options("rows")).expect("founds");
    for number in 0..20 {
        registry.register_user(&user(number)).expect("registers");
        server.sql("UPDATE rows.registry_counters SET owner = 'somebody', last = 0 WHERE owner <> ''");
    }
    assert_eq!(registry.counters().expect("reads").users, 20);
    is_sound(&registry);
}
