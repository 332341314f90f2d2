//! What several state machines are made of.

use crate::Bdf;

/// What a state machine keeps for each function that it saw.
#[derive(Debug)]
pub(super) struct PerFunction<T>(Vec<(Bdf, T)>);

impl<T> Default for PerFunction<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Default> PerFunction<T> {
    /// What is kept for `function`.
    pub fn of(&mut self, function: Bdf) -> &mut T {
        let place = self.0.iter().position(|(other, _)| *other == function);
        let place = place.unwrap_or_else(|| {
            self.0.push((function, T::default()));
            self.0.len() - 1
        });
        &mut self.0[place].1
    }

    /// What is kept for `function`, if anything is.
    pub fn get(&mut self, function: Bdf) -> Option<&mut T> {
        self.0.iter_mut().find(|(other, _)| *other == function).map(|(_, kept)| kept)
    }

    /// All of it.
    pub fn iter(&self) -> impl Iterator<Item = (Bdf, &T)> {
        self.0.iter().map(|(function, kept)| (*function, kept))
    }

    /// All of it, to be altered.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Bdf, &mut T)> {
        self.0.iter_mut().map(|(function, kept)| (*function, kept))
    }
}
