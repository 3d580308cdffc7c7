//! Columns of node state and queues: plain arrays, on 2 MiB pages or cut from slabs, that can be prefetched.
//!
//! This is the only module with `unsafe` code. Its reason is measured by `cargo bench --bench engine`: a walk over a
//! million nodes is bound by cache and TLB misses and by page faults. Huge pages spare both, but the system grants
//! them only to memory that is aligned to them, which no safe container of the standard library is.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

const HUGE_PAGE: usize = 2 << 20;
const CACHE_LINE: usize = 64;

/// A block of memory, given back when the last column that was cut from it is dropped.
struct Memory {
    start: NonNull<u8>,
    layout: Layout,
}

impl Memory {
    /// A block of `bytes`, which must not be zero: aligned to a cache line, and from two mebibytes on to a huge page,
    /// which it asks the system for (`madvise` on Linux). Memory that is not filled is not touched.
    fn new(bytes: usize) -> Self {
        let align = if bytes >= HUGE_PAGE { HUGE_PAGE } else { CACHE_LINE };
        let layout = Layout::from_size_align(bytes, align).expect("a column fits the address space");
        assert!(bytes > 0, "a block of memory has some size");
        #[allow(unsafe_code, reason = "only the allocator aligns to huge pages")]
        // SAFETY: the layout has a size.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        if align == HUGE_PAGE {
            advise_huge_pages(start.as_ptr(), bytes);
        }
        Memory { start, layout }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        #[allow(unsafe_code, reason = "gives back what `new` allocated")]
        // SAFETY: the memory was allocated with this very layout, and no column of it is left.
        unsafe {
            dealloc(self.start.as_ptr(), self.layout);
        }
    }
}

#[allow(unsafe_code, reason = "a block of memory is only an address until a column makes something of it")]
// SAFETY: nothing is read or written through a `Memory`; it can be dropped in any thread.
unsafe impl Send for Memory {}
#[allow(unsafe_code, reason = "as above")]
// SAFETY: as above.
unsafe impl Sync for Memory {}

/// Memory from which many small columns are cut, so that the system is asked for all of it at once.
///
/// ```
/// use qnetsim::contract::Slab;
/// let mut slab = Slab::new(1_000);
/// let mut column = slab.cut::<u64>(100).expect("800 bytes are left");
/// column.push(7);
/// assert!(slab.cut::<u64>(100).is_none(), "less than 200 bytes are left");
/// ```
pub struct Slab {
    memory: Arc<Memory>,
    used: usize,
}

impl Slab {
    /// A slab of `bytes`, at least one.
    ///
    /// # Panics
    /// If that exceeds the address space.
    pub fn new(bytes: usize) -> Self {
        Slab { memory: Arc::new(Memory::new(bytes.max(1))), used: 0 }
    }

    /// Asks the system for all the memory of the slab at once, which is cheaper than a page at a time as it is touched.
    /// Does nothing where that cannot be done.
    pub fn populate(&self) {
        populate(self.memory.start.as_ptr(), self.memory.layout.size());
    }

    /// An empty column with room for `capacity` values, aligned to a cache line; `None` if there is no room for it.
    pub fn cut<T: Copy>(&mut self, capacity: usize) -> Option<Column<T>> {
        const { assert!(size_of::<T>() > 0 && align_of::<T>() <= CACHE_LINE) }
        let bytes = capacity.checked_mul(size_of::<T>())?.checked_next_multiple_of(CACHE_LINE)?;
        if bytes > self.memory.layout.size() - self.used {
            return None;
        }
        #[allow(unsafe_code, reason = "the part of the slab that is not given away yet")]
        // SAFETY: `used` does not exceed the size of the allocation.
        let values = unsafe { self.memory.start.add(self.used) }.cast();
        self.used += bytes;
        Some(Column { values, len: 0, capacity, _memory: Some(Arc::clone(&self.memory)) })
    }
}

impl fmt::Debug for Slab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slab({} of {} bytes used)", self.used, self.memory.layout.size())
    }
}

/// An array of plain values with a capacity that is fixed when it is made.
///
/// Aligned to a cache line, and from two mebibytes on to a huge page. Memory that is not filled is not touched.
pub struct Column<T: Copy> {
    /// The first `len` of `capacity` values are initialised. Dangling if `capacity` is zero.
    values: NonNull<T>,
    len: usize,
    capacity: usize,
    /// Keeps the place of the values, which no other column overlaps. `None` if `capacity` is zero.
    _memory: Option<Arc<Memory>>,
}

impl<T: Copy> Column<T> {
    /// An empty column with room for `capacity` values.
    ///
    /// # Panics
    /// If the size exceeds the address space, or `T` has no size.
    pub fn with_capacity(capacity: usize) -> Self {
        if capacity == 0 {
            return Column { values: NonNull::dangling(), len: 0, capacity: 0, _memory: None };
        }
        let bytes = capacity.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_next_multiple_of(CACHE_LINE));
        Slab::new(bytes.expect("a column fits the address space")).cut(capacity).expect("the slab is for this column")
    }

    /// A column of `len` times `value`.
    pub fn filled(len: usize, value: T) -> Self {
        Self::collect(len, std::iter::repeat_n(value, len))
    }

    /// A column of all that `items` yields.
    ///
    /// # Panics
    /// If that is more than `capacity`.
    pub fn collect(capacity: usize, items: impl Iterator<Item = T>) -> Self {
        let mut column = Self::with_capacity(capacity);
        items.for_each(|item| column.push(item));
        column
    }

    /// Appends `value`.
    ///
    /// # Panics
    /// If the column is full.
    #[inline(always)]
    pub fn push(&mut self, value: T) {
        assert!(self.try_push(value), "the column is full");
    }

    /// Appends `value` and returns true, or returns false if the column is full.
    #[inline(always)]
    #[must_use]
    pub fn try_push(&mut self, value: T) -> bool {
        if self.len == self.capacity {
            return false;
        }
        #[allow(unsafe_code, reason = "writes to memory that is not initialised yet")]
        // SAFETY: the place is inside the allocation, because `len < capacity`, and nobody else refers to it.
        unsafe {
            self.values.add(self.len).write(value);
        }
        self.len += 1;
        true
    }

    /// Forgets all values and keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Keeps the first `len` values.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Keeps the values that `keep` says, in their order.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        let mut kept = 0;
        for place in 0..self.len {
            let value = self[place];
            if keep(&value) {
                self[kept] = value;
                kept += 1;
            }
        }
        self.len = kept;
    }

    /// How many values there is room for.
    #[inline(always)]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.capacity * size_of::<T>()
    }

    /// Starts loading the value at `index` into the cache; does nothing where that cannot be done.
    #[inline(always)]
    pub fn prefetch(&self, index: usize) {
        prefetch(self, index);
    }
}

impl<T: Copy> Deref for Column<T> {
    type Target = [T];
    #[inline(always)]
    #[allow(unsafe_code, reason = "the slice of the initialised values")]
    fn deref(&self) -> &[T] {
        // SAFETY: the first `len` values are initialised, and `&self` keeps them from changing.
        unsafe { std::slice::from_raw_parts(self.values.as_ptr(), self.len) }
    }
}

impl<T: Copy> DerefMut for Column<T> {
    #[inline(always)]
    #[allow(unsafe_code, reason = "the slice of the initialised values")]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: the first `len` values are initialised, and `&mut self` makes this the only access.
        unsafe { std::slice::from_raw_parts_mut(self.values.as_ptr(), self.len) }
    }
}

#[allow(unsafe_code, reason = "a column owns its values, as a vector does")]
// SAFETY: as for `Vec<T>`: nobody else refers to the values, and access follows the borrows of the column.
unsafe impl<T: Copy + Send> Send for Column<T> {}
#[allow(unsafe_code, reason = "a column owns its values, as a vector does")]
// SAFETY: as above.
unsafe impl<T: Copy + Sync> Sync for Column<T> {}

impl<T: Copy> Default for Column<T> {
    fn default() -> Self {
        Column::with_capacity(0)
    }
}

impl<T: Copy + fmt::Debug> fmt::Debug for Column<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self[..].fmt(f)
    }
}

/// Starts loading `values[index]` into the cache. A hint: an index out of bounds is harmless.
#[inline(always)]
#[allow(unsafe_code, reason = "a prefetch has no safe form; it never faults, whatever the address")]
pub fn prefetch<T>(values: &[T], index: usize) {
    let address = values.as_ptr().wrapping_add(index);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: `prefetcht0` is part of SSE, which every x86_64 has, and neither faults nor changes memory.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Asks for huge pages under an allocation that is aligned to them.
#[allow(unsafe_code, reason = "madvise has no safe form; MADV_HUGEPAGE leaves the contents alone")]
fn advise_huge_pages(memory: *mut u8, len: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: the pages lie inside one allocation of ours, and the advice changes how they are backed, not what they
    // hold. Failure (a kernel without huge pages) is as good as success.
    unsafe {
        libc::madvise(memory.cast(), len, libc::MADV_HUGEPAGE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (memory, len);
}

/// Has the pages that lie inside an allocation backed by memory.
#[allow(unsafe_code, reason = "madvise has no safe form; MADV_POPULATE_WRITE leaves the contents alone")]
fn populate(memory: *mut u8, len: usize) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4096;
        let before = memory.align_offset(PAGE);
        let inside = len.saturating_sub(before) / PAGE * PAGE;
        if inside > 0 {
            // SAFETY: the pages lie inside one allocation of ours, and the advice changes whether they are backed yet,
            // not what they hold. Failure (an older kernel, larger pages) means that they are backed when touched.
            unsafe {
                libc::madvise(memory.wrapping_add(before).cast(), inside, libc::MADV_POPULATE_WRITE);
            }
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (memory, len);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_holds_what_it_was_filled_with_and_is_aligned() {
        for (len, align) in [(0, 1), (1, CACHE_LINE), (1_000, CACHE_LINE), (600_000, HUGE_PAGE)] {
            let mut column = Column::filled(len, 7u32);
            assert_eq!((column.len(), column.bytes()), (len, 4 * len));
            assert!(column.iter().all(|&value| value == 7));
            assert!((column.as_ptr() as usize).is_multiple_of(align));
            if let Some(last) = column.last_mut() {
                *last = 9;
                assert_eq!(column[len - 1], 9);
            }
        }
    }

    #[test]
    fn values_are_pushed_kept_and_cleared() {
        let mut column = Column::with_capacity(6);
        (0..6u64).for_each(|value| column.push(value));
        column.retain(|value| value % 2 == 0);
        assert_eq!(column[..], [0, 2, 4]);
        column.push(9);
        assert_eq!(format!("{column:?}"), "[0, 2, 4, 9]");
        column.truncate(7);
        column.truncate(3);
        assert_eq!(column[..], [0, 2, 4]);
        column.clear();
        assert!(column.is_empty() && column.capacity() == 6);
        assert_eq!(Column::collect(3, 0..3)[..], [0, 1, 2]);
        assert!(Column::<u8>::default().is_empty());
    }

    #[test]
    fn columns_of_a_slab_do_not_overlap_and_outlive_it() {
        let mut slab = Slab::new(100_000);
        slab.populate();
        let mut columns: Vec<Column<u32>> = std::iter::from_fn(|| slab.cut(1_001)).collect();
        assert_eq!(columns.len(), 100_000 / (1_001 * 4usize).next_multiple_of(CACHE_LINE));
        assert!(slab.cut::<u32>(usize::MAX).is_none());
        drop(slab);
        for (number, column) in columns.iter_mut().enumerate() {
            assert!((column.as_ptr() as usize).is_multiple_of(CACHE_LINE));
            (0..1_001).for_each(|_| column.push(number as u32));
        }
        let rest = columns.split_off(3);
        drop(columns);
        assert!(rest.iter().zip(3..).all(|(column, number)| column.iter().all(|&value| value == number)));
    }

    #[test]
    #[should_panic(expected = "the column is full")]
    fn a_full_column_takes_no_more() {
        Column::filled(2, 'x').push('y');
    }

    #[test]
    fn prefetching_out_of_bounds_is_harmless() {
        let column = Column::filled(4, 1u64);
        for index in [0, 3, 4, usize::MAX / 8] {
            column.prefetch(index);
        }
        prefetch::<u64>(&[], 12);
    }
}
