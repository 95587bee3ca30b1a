//! A guest that is nothing but a counter and some memory, and can tell whether both are as it left them.

use switchover_core::limits::PAGE_SIZE;

/// Guest memory in pages.
pub const PAGES: usize = 8;
/// Turns of the loop that the guest spends writing one page before it goes to the next.
const TURNS_PER_PAGE: u64 = 64;

/// One page.
pub type Page = [u8; PAGE_SIZE];

/// The guest: one vCPU, whose only register is a counter.
pub struct Guest {
    /// The vCPU's state.
    pub count: u64,
    /// Whether the vCPU is in guest mode.
    pub runs: bool,
    /// Memory.
    pub pages: [Page; PAGES],
    /// The dirty log: a bit for each page that was written since the log was last read.
    pub dirty: u8,
}

impl Guest {
    /// No guest: memory for one.
    pub const fn empty() -> Self {
        Self { count: 0, runs: false, pages: [[0; PAGE_SIZE]; PAGES], dirty: 0 }
    }

    /// A guest that runs, and has for a while.
    pub fn that_has_run(turns: u64) -> Self {
        let mut guest = Self { runs: true, ..Self::empty() };
        (0..turns).for_each(|_| guest.turn());
        guest
    }

    /// One turn of the vCPU: counts, and writes the count into the page of the hour.
    pub fn turn(&mut self) {
        if !self.runs {
            return;
        }
        self.count += 1;
        let number = (self.count / TURNS_PER_PAGE) as usize % PAGES;
        if let Some(slot) = self.pages.get_mut(number).and_then(|page| page.first_chunk_mut()) {
            *slot = self.count.to_le_bytes();
            self.dirty |= 1 << number;
        }
    }

    /// The self-check: every page holds the last count that was written into it.
    pub fn intact(&self) -> bool {
        self.pages.iter().enumerate().all(|(number, page)| {
            let found = page.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            found == self.last_written(number as u64)
        })
    }

    fn last_written(&self, number: u64) -> u64 {
        let round = TURNS_PER_PAGE * PAGES as u64;
        let begins = self.count / round * round + number * TURNS_PER_PAGE;
        if begins <= self.count {
            return self.count.min(begins + TURNS_PER_PAGE - 1);
        }
        // Not reached in this round: the last turn of the round before, if there was one.
        (begins + TURNS_PER_PAGE - 1).saturating_sub(round)
    }
}
