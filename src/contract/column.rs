//! Columns of node state and queues: arrays that stand on 2 MiB pages and can be prefetched.
//!
//! This is the only module with `unsafe` code. Its reason is measured by `cargo bench --bench engine`: a walk over a
//! million nodes is bound by cache and TLB misses and by page faults. Huge pages spare both, but the system grants
//! them only to memory that is aligned to them, which no safe container of the standard library is.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

const HUGE_PAGE: usize = 2 << 20;
const CACHE_LINE: usize = 64;

/// An array of plain values with a capacity that is fixed when it is made.
///
/// Aligned to a cache line, and from two mebibytes on to a huge page, which it asks the system for (`madvise` on
/// Linux). Memory that is not filled is not touched.
pub struct Column<T: Copy> {
    /// The first `len` of `capacity` values are initialised. Dangling if `capacity` is zero.
    values: NonNull<T>,
    len: usize,
    capacity: usize,
}

impl<T: Copy> Column<T> {
    /// An empty column with room for `capacity` values.
    ///
    /// # Panics
    /// If the size exceeds the address space, or `T` has no size.
    pub fn with_capacity(capacity: usize) -> Self {
        const { assert!(size_of::<T>() > 0, "a column needs values of some size") }
        if capacity == 0 {
            return Column { values: NonNull::dangling(), len: 0, capacity: 0 };
        }
        let layout = Self::layout(capacity);
        #[allow(unsafe_code, reason = "only the allocator aligns to huge pages")]
        // SAFETY: the layout has a size, because neither the capacity nor the size of a value is zero.
        let memory = unsafe { alloc(layout) };
        let Some(values) = NonNull::new(memory.cast::<T>()) else { handle_alloc_error(layout) };
        if layout.align() == HUGE_PAGE {
            advise_huge_pages(memory, layout.size());
        }
        Column { values, len: 0, capacity }
    }

    fn layout(capacity: usize) -> Layout {
        let bytes = capacity.checked_mul(size_of::<T>()).expect("a column fits the address space");
        let align = if bytes >= HUGE_PAGE { HUGE_PAGE } else { CACHE_LINE };
        Layout::from_size_align(bytes, align.max(align_of::<T>())).expect("a column fits the address space")
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

impl<T: Copy> Drop for Column<T> {
    fn drop(&mut self) {
        if self.capacity > 0 {
            #[allow(unsafe_code, reason = "gives back what `with_capacity` allocated")]
            // SAFETY: the memory was allocated with this very layout, and `Copy` values need no drop.
            unsafe {
                dealloc(self.values.as_ptr().cast(), Self::layout(self.capacity));
            }
        }
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
// SAFETY: as for `Vec<T>`: the pointer is owned, and access follows the borrows of the column.
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
        column.clear();
        assert!(column.is_empty() && column.capacity() == 6);
        assert_eq!(Column::collect(3, 0..3)[..], [0, 1, 2]);
        assert!(Column::<u8>::default().is_empty());
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
