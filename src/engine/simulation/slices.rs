//! Slices of time: which of them a window belongs to, and what is measured.

use super::super::context::WindowPlan;
use super::super::event::Windows;
use super::Settings;
use crate::contract::SimTime;

/// The slices of time that results are given by, and which of them is the current one.
pub(super) struct Slices {
    boundaries: Vec<SimTime>,
    measured: std::ops::Range<SimTime>,
    current: usize,
}

impl Slices {
    pub(super) fn new(settings: &Settings) -> Self {
        Slices { boundaries: settings.boundaries.clone(), measured: settings.measured.clone(), current: 0 }
    }

    /// Boundaries that are passed.
    pub(super) fn passed(&self) -> usize {
        self.current
    }

    /// Passes the first `passed` boundaries.
    pub(super) fn pass_first(&mut self, passed: usize) {
        self.current = passed;
    }

    fn is_measured(&self, slice: usize) -> bool {
        let start = if slice == 0 { Some(&SimTime::ZERO) } else { self.boundaries.get(slice - 1) };
        start.is_some_and(|start| self.measured.contains(start))
    }

    /// Passes the boundaries up to `start`; returns how many.
    pub(super) fn pass(&mut self, start: u64) -> usize {
        let passed = self.boundaries[self.current..].iter().take_while(|boundary| boundary.as_nanos() <= start).count();
        self.current += passed;
        passed
    }

    pub(super) fn plan(&self, window: u64, windows: &Windows, end: u64, index_max: u32) -> WindowPlan {
        let start = windows.start(window);
        let inside = |time: u64| match time.checked_sub(start) {
            Some(offset) if offset < windows.length() => offset as u32,
            _ => u32::MAX,
        };
        WindowPlan {
            window,
            start,
            end_offset: inside(end),
            boundary_offset: self.boundaries.get(self.current).map_or(u32::MAX, |boundary| inside(boundary.as_nanos())),
            index_max,
            measured: [self.is_measured(self.current), self.is_measured(self.current + 1)],
        }
    }
}
