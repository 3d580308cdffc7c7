//! External sort: entries are sorted in memory up to a bound, spilled as sorted runs, and merged from there.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rayon::slice::ParallelSliceMut;

use super::super::store::Entry;

/// Runs that are merged at once. Where there are more, some are first merged to one.
const FAN_IN: usize = 128;
/// What a run is read and written by.
const BUFFER: usize = 256 << 10;
/// The longest key and value, in bytes, so that a damaged run is no reason to take all memory.
const LEN_MAX: u32 = 1 << 24;

/// Where an entry lies in a chunk, and the start of its key for quick comparison.
#[derive(Clone, Copy)]
struct Slot {
    prefix: u64,
    start: usize,
    key_len: u32,
    value_len: u32,
}

/// Entries in memory.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

impl Chunk {
    fn push(&mut self, key: &[u8], value: &[u8]) {
        let mut prefix = [0; 8];
        let len = key.len().min(8);
        prefix[..len].copy_from_slice(&key[..len]);
        let (key_len, value_len) = (key.len() as u32, value.len() as u32);
        let slot = Slot { prefix: u64::from_be_bytes(prefix), start: self.bytes.len(), key_len, value_len };
        self.slots.push(slot);
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
    }

    fn size(&self) -> usize {
        self.bytes.len() + self.slots.len() * size_of::<Slot>()
    }

    fn key(&self, slot: &Slot) -> &[u8] {
        &self.bytes[slot.start..slot.start + slot.key_len as usize]
    }

    fn value(&self, slot: &Slot) -> &[u8] {
        &self.bytes[slot.start + slot.key_len as usize..][..slot.value_len as usize]
    }

    fn order(&self, one: &Slot, other: &Slot) -> Ordering {
        one.prefix.cmp(&other.prefix).then_with(|| self.key(one).cmp(self.key(other)))
    }

    fn sort(&mut self) {
        let mut slots = std::mem::take(&mut self.slots);
        if !slots.is_sorted_by(|one, other| self.order(one, other).is_le()) {
            slots.par_sort_unstable_by(|one, other| self.order(one, other));
        }
        self.slots = slots;
    }

    /// Writes the sorted chunk as the run at `path`, and waits until it is on disk.
    fn spill(mut self, path: &Path) -> io::Result<()> {
        self.sort();
        let mut out = BufWriter::with_capacity(BUFFER, File::create(path)?);
        for slot in &self.slots {
            write_entry(&mut out, self.key(slot), self.value(slot))?;
        }
        out.into_inner()?.sync_data()
    }
}

fn write_entry(out: &mut impl Write, key: &[u8], value: &[u8]) -> io::Result<()> {
    out.write_all(&(key.len() as u32).to_le_bytes())?;
    out.write_all(&(value.len() as u32).to_le_bytes())?;
    out.write_all(key)?;
    out.write_all(value)
}

/// Takes entries in any order and gives them back in order of their keys. Those with equal keys come in any order.
pub(super) struct Sorter {
    folder: PathBuf,
    name: String,
    chunk_bytes: usize,
    chunk: Chunk,
    runs: Vec<PathBuf>,
    spilling: Option<JoinHandle<io::Result<()>>>,
}

impl Sorter {
    /// Sorts in about `memory` bytes; runs are files in `folder` whose names begin with `name`. Half of the memory takes
    /// entries while the other half is written.
    pub(super) fn new(folder: &Path, name: &str, memory: usize) -> Self {
        Sorter {
            folder: folder.to_path_buf(),
            name: name.to_owned(),
            chunk_bytes: (memory / 2).max(1 << 16),
            chunk: Chunk::default(),
            runs: Vec::new(),
            spilling: None,
        }
    }

    /// Goes on after `runs` runs that an earlier sorter of the same name has spilled.
    pub(super) fn resume(mut self, runs: usize) -> Self {
        self.runs = (0..runs).map(|number| self.run_path(number)).collect();
        self
    }

    fn run_path(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{}-{number}.run", self.name))
    }

    /// Takes an entry. It is for the caller to spill when the sorter is full.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) {
        self.chunk.push(key, value);
    }

    /// Whether it is time to spill.
    pub(super) fn is_full(&self) -> bool {
        self.chunk.size() >= self.chunk_bytes
    }

    /// Writes what is in memory as a run, on a thread of its own: the next call waits for it.
    pub(super) fn spill(&mut self) -> io::Result<()> {
        self.settle()?;
        if self.chunk.slots.is_empty() {
            return Ok(());
        }
        let path = self.run_path(self.runs.len());
        self.runs.push(path.clone());
        let chunk = std::mem::take(&mut self.chunk);
        self.spilling = Some(std::thread::spawn(move || chunk.spill(&path)));
        Ok(())
    }

    /// Waits until all runs are on disk, and returns how many there are.
    pub(super) fn settle(&mut self) -> io::Result<usize> {
        if let Some(writer) = self.spilling.take() {
            writer.join().unwrap_or_else(|_| Err(io::Error::other("a thread that sorts has failed")))?;
        }
        Ok(self.runs.len())
    }

    /// All entries in order. What was never spilled stays in memory.
    pub(super) fn merge(mut self) -> io::Result<Merge> {
        self.settle()?;
        let mut runs = std::mem::take(&mut self.runs);
        let mut merged = 0;
        while runs.len() > FAN_IN {
            let path = self.folder.join(format!("{}-merged-{merged}.run", self.name));
            let rest = runs.split_off(FAN_IN);
            let mut out = BufWriter::with_capacity(BUFFER, File::create(&path)?);
            for entry in Merge::new(runs.iter().map(|run| Run::open(run)).collect::<io::Result<_>>()?)? {
                let (key, value) = entry?;
                write_entry(&mut out, &key, &value)?;
            }
            out.into_inner()?;
            runs = rest;
            runs.push(path);
            merged += 1;
        }
        let mut sources: Vec<Run> = runs.iter().map(|run| Run::open(run)).collect::<io::Result<_>>()?;
        self.chunk.sort();
        sources.push(Run::Memory(self.chunk, 0));
        Merge::new(sources)
    }
}

/// A sorted run.
enum Run {
    Disk(BufReader<File>, PathBuf),
    Memory(Chunk, usize),
}

impl Run {
    fn open(path: &Path) -> io::Result<Self> {
        let file =
            File::open(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok(Run::Disk(BufReader::with_capacity(BUFFER, file), path.to_path_buf()))
    }

    fn next(&mut self) -> io::Result<Option<Entry>> {
        match self {
            Run::Memory(chunk, next) => {
                let slot = chunk.slots.get(*next);
                *next += 1;
                Ok(slot.map(|slot| (chunk.key(slot).to_vec(), chunk.value(slot).to_vec())))
            }
            Run::Disk(file, path) => read_entry(file)
                .map_err(|error| io::Error::new(error.kind(), format!("{} is damaged: {error}", path.display()))),
        }
    }
}

fn read_entry(file: &mut impl Read) -> io::Result<Option<Entry>> {
    let mut head = [0; 8];
    if file.read(&mut head[..1])? == 0 {
        return Ok(None);
    }
    file.read_exact(&mut head[1..])?;
    let [key_len, value_len] =
        [0, 4].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
    if key_len > LEN_MAX || value_len > LEN_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "an entry is too long"));
    }
    let (mut key, mut value) = (vec![0; key_len as usize], vec![0; value_len as usize]);
    file.read_exact(&mut key)?;
    file.read_exact(&mut value)?;
    Ok(Some((key, value)))
}

/// The next entry of a run: its key, which run, its value.
type Head = (Vec<u8>, usize, Vec<u8>);

/// Entries of several runs in order of their keys.
pub(super) struct Merge {
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<Head>>,
}

impl Merge {
    fn new(mut runs: Vec<Run>) -> io::Result<Self> {
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for (index, run) in runs.iter_mut().enumerate() {
            heads.extend(run.next()?.map(|(key, value)| Reverse((key, index, value))));
        }
        Ok(Merge { runs, heads })
    }

    fn turn(&mut self) -> io::Result<Option<Entry>> {
        let Some(mut head) = self.heads.peek_mut() else { return Ok(None) };
        let index = head.0.1;
        let Reverse((key, _, value)) = match self.runs[index].next()? {
            // The heap is put in order again when `head` is dropped.
            Some((key, value)) => std::mem::replace(&mut *head, Reverse((key, index, value))),
            None => std::collections::binary_heap::PeekMut::pop(head),
        };
        Ok(Some((key, value)))
    }
}

impl Iterator for Merge {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.turn().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(memory: usize, keys: &[u64]) -> Vec<Entry> {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(folder.path(), "test", memory);
        // The smallest chunk is 64 KiB, so entries are long.
        for &key in keys {
            sorter.push(&key.to_be_bytes()[4..], &vec![key as u8; 1_000]);
            if sorter.is_full() {
                sorter.spill().unwrap();
            }
        }
        sorter.merge().unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn entries_come_in_order_from_memory_from_few_runs_and_from_more_than_are_merged_at_once() {
        for count in [0u64, 1, 10, 3_000, 10_000] {
            let keys: Vec<u64> = (0..count).map(|index| index * 7_919 % 10_007).collect();
            let found = sorted(0, &keys);
            let mut expected = keys.clone();
            expected.sort_unstable();
            assert_eq!(found.len(), keys.len());
            for ((key, value), expected) in found.iter().zip(expected) {
                assert_eq!((key.as_slice(), value[0]), (&expected.to_be_bytes()[4..], expected as u8));
            }
        }
    }

    #[test]
    fn keys_are_ordered_by_all_their_bytes_and_none_is_lost_where_some_are_equal() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(folder.path(), "test", 0);
        for key in ["b", "", "a longer key 2", "a longer key 1", "a", "b", "a\0"] {
            sorter.push(key.as_bytes(), b"");
            sorter.spill().unwrap();
        }
        let found: Vec<_> = sorter.merge().unwrap().map(|entry| String::from_utf8(entry.unwrap().0).unwrap()).collect();
        assert_eq!(found, ["", "a", "a\0", "a longer key 1", "a longer key 2", "b", "b"]);
    }

    #[test]
    fn a_run_that_was_cut_off_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(folder.path(), "test", 0);
        sorter.push(b"key", b"value");
        sorter.spill().unwrap();
        sorter.settle().unwrap();
        let path = folder.path().join("test-0.run");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let error = sorter.merge().err().expect("is refused");
        assert!(error.to_string().contains("test-0.run"), "{error}");
    }
}
