//! Imports: what comes of them, and what is refused.

use std::fs;

use super::super::consensus::UserRegistryConsensus;
use super::super::database::{Cursor, Settings, UserDatabase};
use super::super::disk::DiskStore;
use super::super::memory::MemoryStore;
use super::super::population::Population;
use super::super::store::Store;
use super::super::text::Line;
use super::files::Files;
use super::*;

const LAYOUTS: [Layout; 2] = [Layout::Documented, Layout::Compact];

fn options(layout: Layout) -> ImportOptions {
    ImportOptions { layout, ..ImportOptions::default() }
}

/// All users and endorsements, in order.
fn content<S: Store>(database: &UserDatabase<S>) -> (Vec<User>, Vec<Endorsement>) {
    let mut users: Vec<User> = database.users(&Cursor::default()).map(|found| found.unwrap().user).collect();
    users.sort_by_key(|user| user.key);
    let mut endorsements: Vec<_> =
        users.iter().flat_map(|user| database.endorsements_of(&user.key).unwrap().to_vec()).collect();
    endorsements.sort_by_key(|endorsement| (endorsement.endorsed, endorsement.endorser));
    (users, endorsements)
}

fn open(path: &Path) -> UserDatabase<DiskStore> {
    let store = DiskStore::open(path, &DiskOptions { create: false, ..DiskOptions::default() }).unwrap();
    UserDatabase::open(store, &Settings::default()).unwrap()
}

/// The registry that comes of registering and endorsing one by one.
fn one_by_one(population: &Population, layout: Layout) -> UserRegistryConsensus<MemoryStore> {
    let settings = Settings { layout: Some(layout), ..Settings::default() };
    let registry = UserRegistryConsensus::new(UserDatabase::open(MemoryStore::new(), &settings).unwrap());
    (0..population.users()).for_each(|number| registry.register_user(&population.user(number)).unwrap());
    for endorsement in (0..population.users()).flat_map(|number| population.endorsements_of(number)) {
        registry.submit_endorsement(&endorsement).unwrap();
    }
    registry
}

fn imported(files: &[(&str, String)]) -> (tempfile::TempDir, Result<Imported, ImportError>) {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = files.iter().map(|(name, _)| folder.path().join(name)).collect();
    files.iter().zip(&paths).for_each(|((_, text), path)| fs::write(path, text).unwrap());
    let files = Files::open(&paths).unwrap();
    let result = import(&folder.path().join("registry"), &files, &options(Layout::Compact), &mut |_, _, _| {});
    (folder, result)
}

fn lines<'a>(lines: impl Iterator<Item = Line<'a>>) -> String {
    lines.map(|line| serde_json::to_string(&line).unwrap() + "\n").collect()
}

#[test]
fn an_import_holds_what_registering_one_by_one_holds() {
    for layout in LAYOUTS {
        // 40 endorsements are more than lie together in one entry of the compact layout.
        for (users, endorsements) in [(0, 5), (1, 5), (1_000, 5), (60, 40), (17_000, 1)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("registry");
            let population = Population::new(1, users, endorsements);
            let mut steps = Vec::new();
            let imported = import(&path, &population, &options(layout), &mut |step, _, _| steps.push(step)).unwrap();
            assert!(steps.is_sorted() && steps.last() == Some(&Step::Check));
            let database = open(&path);
            let expected = one_by_one(&population, layout);
            assert!(content(&database) == content(expected.database()), "{users} users, {layout}");
            assert_eq!(database.counters(), expected.database().counters());
            assert_eq!((imported.users, imported.endorsements), (users, population.endorsements()));
            assert_eq!(imported.verified, database.verified_users());
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the work folder is gone");
        }
    }
}

#[test]
fn users_of_an_import_are_found_by_every_index_and_can_be_added_to() {
    for layout in LAYOUTS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registry");
        let (population, newcomer) = (Population::new(1, 2_000, 5), Population::new(1, 2_001, 5).user(2_000));
        import(&path, &population, &options(layout), &mut |_, _, _| {}).unwrap();
        let registry = UserRegistryConsensus::new(open(&path));
        registry.register_user(&newcomer).unwrap();
        assert!(registry.register_user(&population.user(7)).is_err());
        let (mut by_currency, mut by_country) = (0, 0);
        for number in (0..2_000).step_by(101) {
            let user = population.user(number);
            let database = registry.database();
            assert_eq!(database.lookup_by_government_id(&user.government_id).unwrap(), Some(user.key));
            let there = |found: Result<super::super::layout::Stored, _>| {
                found.ok().is_some_and(|found| found.user.key == user.key)
            };
            by_currency += usize::from(database.users_by_currency(user.birth_currency, &Cursor::default()).any(there));
            by_country += usize::from(database.users_by_country(user.country, &Cursor::default()).any(there));
        }
        assert_eq!((by_currency, by_country), (20, 20));
    }
}

#[test]
fn a_place_that_is_taken_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry");
    let population = Population::new(1, 10, 2);
    import(&path, &population, &options(Layout::Compact), &mut |_, _, _| {}).unwrap();
    let again = import(&path, &population, &options(Layout::Compact), &mut |_, _, _| {});
    assert!(matches!(again, Err(ImportError::Exists(_))), "{again:?}");
    assert_eq!(open(&path).total_users(), 10);
    fs::write(folder.path().join("file"), "text").unwrap();
    let on_file = import(&folder.path().join("file"), &population, &options(Layout::Compact), &mut |_, _, _| {});
    assert!(matches!(on_file, Err(ImportError::Exists(_))), "{on_file:?}");
    let work = Work::open(&folder.path().join("busy")).unwrap();
    let busy = import(&folder.path().join("busy"), &population, &options(Layout::Compact), &mut |_, _, _| {});
    assert!(matches!(busy, Err(ImportError::Busy(_))), "{busy:?}");
    drop(work);
}

#[test]
fn what_is_there_twice_is_told_with_both_lines() {
    let population = Population::new(1, 100, 2);
    let users = || (0..100).map(|number| population.user(number));
    let endorsements = || (0..100).flat_map(|number| population.endorsements_of(number));
    let thief = User { government_id: population.user(3).government_id, ..Population::new(2, 1, 0).user(0) };
    let all = lines(users().map(|user| Line::from(&user)));
    let (first_key, third_id, thief_line) =
        (population.key(0), thief.government_id, lines([Line::from(&thief)].into_iter()));
    let users_twice = lines([Line::from(&population.user(0))].into_iter());
    let (_folder, result) = imported(&[("a.jsonl", all.clone()), ("b.jsonl", users_twice + &thief_line)]);
    let told = result.err().unwrap().to_string();
    assert!(
        told.contains(&format!("b.jsonl:1: the key {first_key} is also that of ")) && told.contains("a.jsonl:1"),
        "{told}"
    );
    assert!(told.contains(&format!("b.jsonl:2: the government id {third_id} is also that of ")), "{told}");
    assert!(told.contains(&format!("a.jsonl:4 (key {})", population.key(3))), "{told}");

    let endorsements: Vec<_> = endorsements().collect();
    let twice = lines(endorsements.iter().chain([&endorsements[9], &endorsements[9]]).map(Line::from));
    let (folder, result) = imported(&[("a.jsonl", all), ("b.jsonl", twice)]);
    let told = result.err().unwrap().to_string();
    assert!(told.contains("2 problems") && told.contains("b.jsonl:201: ") && told.contains("b.jsonl:202: "), "{told}");
    assert!(told.matches("b.jsonl:10\n").count() + usize::from(told.ends_with("b.jsonl:10")) == 2, "{told}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing is left but the files: {left:?}");
}

#[test]
fn endorsements_by_nobody_of_nobody_and_of_oneself_are_refused() {
    let (population, others) = (Population::new(1, 10, 1), Population::new(2, 10, 1));
    let one = population.endorsements_of(0).next().unwrap();
    let bad = [
        Endorsement { endorser: one.endorsed, ..one.clone() },
        Endorsement { endorser: others.key(1), ..one.clone() },
        Endorsement { endorsed: others.key(2), ..one.clone() },
    ];
    let users = lines((0..10).map(|number| Line::from(&population.user(number))));
    let (_folder, result) = imported(&[("u.jsonl", users), ("e.jsonl", lines(bad.iter().map(Line::from)))]);
    let told = result.err().unwrap().to_string();
    for (line, reason) in [
        (1, format!("{} endorses itself", one.endorsed)),
        (2, format!("the endorser {} is not among the users", others.key(1))),
        (3, format!("the endorsed user {} is not among the users", others.key(2))),
    ] {
        assert!(told.contains(&format!("e.jsonl:{line}: {reason}")), "{told}");
    }
}

#[test]
fn bad_lines_are_told_up_to_a_bound_and_nothing_is_imported() {
    let (folder, result) = imported(&[("u.jsonl", "{}\n".repeat(PROBLEMS_MAX + 7))]);
    let Err(ImportError::Refused(problems)) = result else { panic!("{result:?}") };
    assert_eq!((problems.lines.len(), problems.more), (PROBLEMS_MAX, true));
    assert!(problems.lines[99].ends_with("u.jsonl:100: the field key is missing"), "{}", problems.lines[99]);
    assert!(!folder.path().join("registry").exists());
}

#[test]
fn more_users_than_memory_is_allowed_for_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tight = ImportOptions { memory: 100_000, ..ImportOptions::default() };
    let result = import(&folder.path().join("r"), &Population::new(1, 100_000, 0), &tight, &mut |_, _, _| {});
    assert!(matches!(result, Err(ImportError::Memory { allowed: 100_000, .. })), "{result:?}");
}

/// A population whose reader is killed at some batch.
struct Dying<'a>(&'a Population, std::sync::atomic::AtomicU64);

impl Source for Dying<'_> {
    fn identity(&self) -> Result<String, SourceError> {
        self.0.identity()
    }

    fn users(&self) -> source::Batches<'_, User> {
        Box::new(Source::users(self.0).map(|batch| self.live().and(batch)))
    }

    fn endorsements(&self, skipped: u64) -> source::Batches<'_, Endorsement> {
        Box::new(Source::endorsements(self.0, skipped).map(|batch| self.live().and(batch)))
    }

    fn describe(&self, place: Place) -> String {
        self.0.describe(place)
    }

    fn size(&self) -> Option<(u64, u64)> {
        self.0.size()
    }
}

impl Dying<'_> {
    fn live(&self) -> Result<(), SourceError> {
        let left =
            self.1.fetch_update(std::sync::atomic::Ordering::Relaxed, std::sync::atomic::Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        left.map(drop).map_err(|_| SourceError::Registry("the end".to_owned()))
    }
}

#[test]
fn an_import_that_was_cut_off_anywhere_goes_on_to_the_same_content() {
    // Three batches of users and of endorsements; so little memory that each batch of endorsements is a run.
    let population = Population::new(1, 40_000, 1);
    let folder = tempfile::tempdir().unwrap();
    let small = ImportOptions { memory: 4 << 20, ..ImportOptions::default() };
    let whole = import(&folder.path().join("whole"), &population, &small, &mut |_, _, _| {}).unwrap();
    for (lives, sorted) in [(0, 0), (2, 0), (4, 0), (5, 16_384), (7, 40_000), (8, 40_000)] {
        let path = folder.path().join(format!("cut-{lives}"));
        let cut = import(&path, &Dying(&population, lives.into()), &small, &mut |_, _, _| {});
        assert!(matches!(cut, Err(ImportError::Source(_))), "{cut:?}");
        assert!(!path.exists());
        let again = import(&path, &population, &small, &mut |_, _, _| {}).unwrap();
        assert_eq!(again, Imported { resumed: sorted, ..whole.clone() }, "cut after {lives} batches");
        assert!(!folder.path().join(format!("cut-{lives}.import")).exists());
    }
    for (family, tally) in &whole.families {
        let same = whole.families.iter().filter(|(_, other)| other.sum == tally.sum).count();
        assert_eq!(same, 1, "the sum of {family:?} tells nothing");
    }
    let path = folder.path().join("other");
    let cut = import(&path, &Dying(&population, 8.into()), &small, &mut |_, _, _| {});
    assert!(cut.is_err());
    let other = Population::new(2, 40_000, 1);
    let imported = import(&path, &other, &small, &mut |_, _, _| {}).unwrap();
    assert_eq!(imported.resumed, 0, "another source begins anew");
    assert_ne!(imported.families, whole.families);
}
