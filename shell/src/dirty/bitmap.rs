//! A set of pages, one bit each, in the layout KVM uses (bit `n % 64` of word `n / 64`, page 0 lowest).

/// A run of consecutive pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageRun {
    /// The first page.
    pub first: u64,
    /// How many.
    pub pages: u64,
}

impl PageRun {
    /// One past the last page.
    pub fn end(self) -> u64 {
        self.first.saturating_add(self.pages)
    }
}

/// A set of pages of one guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    pages: u64,
}

impl Bitmap {
    /// The empty set over `pages` pages.
    pub fn new(pages: u64) -> Bitmap {
        Bitmap { words: vec![0; pages.div_ceil(64) as usize], pages }
    }

    /// The set of all `pages` pages.
    pub fn full(pages: u64) -> Bitmap {
        let mut all = Bitmap::new(pages);
        all.set_all();
        all
    }

    /// How many pages there are, set or not.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// The words; bits beyond [`Bitmap::pages`] are zero.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Whether `page` is in the set; false beyond the end.
    pub fn get(&self, page: u64) -> bool {
        page < self.pages && self.words[(page / 64) as usize] & (1 << (page % 64)) != 0
    }

    /// Adds `page`; beyond the end it is ignored.
    pub fn set(&mut self, page: u64) {
        if page < self.pages {
            self.words[(page / 64) as usize] |= 1 << (page % 64);
        }
    }

    /// Removes `page`.
    pub fn clear(&mut self, page: u64) {
        if page < self.pages {
            self.words[(page / 64) as usize] &= !(1 << (page % 64));
        }
    }

    /// Adds a run; what lies beyond the end is ignored.
    pub fn set_run(&mut self, run: PageRun) {
        self.each_word(run, |word, mask| *word |= mask);
    }

    /// Removes a run.
    pub fn clear_run(&mut self, run: PageRun) {
        self.each_word(run, |word, mask| *word &= !mask);
    }

    /// Adds every page.
    pub fn set_all(&mut self) {
        self.words.fill(u64::MAX);
        self.trim();
    }

    /// Removes every page.
    pub fn clear_all(&mut self) {
        self.words.fill(0);
    }

    /// Adds what `other` has.
    pub fn union(&mut self, other: &Bitmap) {
        self.union_words(&other.words);
    }

    /// Removes what `other` has.
    pub fn subtract(&mut self, other: &Bitmap) {
        for (word, gone) in self.words.iter_mut().zip(&other.words) {
            *word &= !gone;
        }
    }

    /// Adds words in this layout (a kernel's log); surplus words and bits beyond the end are ignored.
    pub fn union_words(&mut self, words: &[u64]) {
        for (word, more) in self.words.iter_mut().zip(words) {
            *word |= more;
        }
        self.trim();
    }

    /// How many pages are in the set.
    pub fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Whether the set is empty; cheaper than counting.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The first page of the set at or after `from`.
    pub fn next_set(&self, from: u64) -> Option<u64> {
        self.find(from, |word| word)
    }

    fn next_clear(&self, from: u64) -> u64 {
        self.find(from, |word| !word).unwrap_or(self.pages)
    }

    fn find(&self, from: u64, view: impl Fn(u64) -> u64) -> Option<u64> {
        if from >= self.pages {
            return None;
        }
        let start = (from / 64) as usize;
        let mut word = view(self.words[start]) & (u64::MAX << (from % 64));
        for at in start.. {
            if word != 0 {
                let page = at as u64 * 64 + u64::from(word.trailing_zeros());
                return (page < self.pages).then_some(page);
            }
            word = view(*self.words.get(at + 1)?);
        }
        None
    }

    /// The first run at or after `from`, cut to at most `max` pages (at least 1).
    pub fn next_run(&self, from: u64, max: u64) -> Option<PageRun> {
        let first = self.next_set(from)?;
        let pages = (self.next_clear(first) - first).min(max.max(1));
        Some(PageRun { first, pages })
    }

    /// Takes the first run at or after `from` out of the set, cut to at most `max` pages.
    pub fn take_run(&mut self, from: u64, max: u64) -> Option<PageRun> {
        let run = self.next_run(from, max)?;
        self.clear_run(run);
        Some(run)
    }

    /// All runs in order, each cut to at most `max` pages.
    pub fn runs(&self, max: u64) -> Runs<'_> {
        Runs { of: self, from: 0, max }
    }

    fn each_word(&mut self, run: PageRun, mut f: impl FnMut(&mut u64, u64)) {
        let end = run.end().min(self.pages);
        let mut page = run.first;
        while page < end {
            let bit = page % 64;
            let bits = (64 - bit).min(end - page);
            let mask = (u64::MAX >> (64 - bits)) << bit;
            f(&mut self.words[(page / 64) as usize], mask);
            page += bits;
        }
    }

    fn trim(&mut self) {
        if !self.pages.is_multiple_of(64)
            && let Some(last) = self.words.last_mut()
        {
            *last &= u64::MAX >> (64 - self.pages % 64);
        }
    }
}

/// Iterator over the runs of a [`Bitmap`].
#[derive(Clone, Debug)]
pub struct Runs<'a> {
    of: &'a Bitmap,
    from: u64,
    max: u64,
}

impl Iterator for Runs<'_> {
    type Item = PageRun;

    fn next(&mut self) -> Option<PageRun> {
        let run = self.of.next_run(self.from, self.max)?;
        self.from = run.end();
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: u64, pages: u64) -> PageRun {
        PageRun { first, pages }
    }

    #[test]
    fn runs_cross_words_and_are_cut() {
        let mut set = Bitmap::new(200);
        set.set_run(run(60, 70));
        set.set(199);
        assert_eq!(set.count(), 71);
        assert_eq!(set.runs(u64::MAX).collect::<Vec<_>>(), [run(60, 70), run(199, 1)]);
        assert_eq!(set.runs(64).collect::<Vec<_>>(), [run(60, 64), run(124, 6), run(199, 1)]);
        assert_eq!(set.take_run(0, 4), Some(run(60, 4)));
        assert_eq!(set.take_run(100, 10), Some(run(100, 10)));
        assert_eq!(set.runs(u64::MAX).collect::<Vec<_>>(), [run(64, 36), run(110, 20), run(199, 1)]);
        assert!(!set.get(60) && set.get(64) && !set.get(200));
    }

    #[test]
    fn the_end_is_never_passed() {
        for pages in [1, 63, 64, 65, 128, 1000] {
            let all = Bitmap::full(pages);
            assert_eq!(all.count(), pages);
            assert_eq!(all.runs(u64::MAX).collect::<Vec<_>>(), [run(0, pages)]);
            let mut set = Bitmap::new(pages);
            set.union_words(&[u64::MAX; 100]);
            assert_eq!(set, all);
            set.set_run(run(pages, 5));
            set.set_run(run(u64::MAX - 1, 5));
            assert_eq!(set, all);
            set.subtract(&all);
            assert!(set.is_empty());
        }
        assert!(Bitmap::new(0).is_empty() && Bitmap::full(0).next_run(0, 1).is_none());
    }

    #[test]
    fn agrees_with_a_plain_set() {
        let mut seed = 1u64;
        let mut set = Bitmap::new(333);
        let mut plain = [false; 333];
        for _ in 0..2000 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let (first, pages, add) = ((seed >> 33) % 340, (seed >> 50) % 70, seed >> 63 == 1);
            for page in first..(first + pages).min(333) {
                plain[page as usize] = add;
            }
            if add {
                set.set_run(run(first, pages))
            } else {
                set.clear_run(run(first, pages))
            }
            let covered: Vec<u64> = set.runs(7).flat_map(|run| run.first..run.end()).collect();
            let expected: Vec<u64> = (0..333).filter(|page| plain[*page as usize]).collect();
            assert_eq!(covered, expected);
        }
    }
}
