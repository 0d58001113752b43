//! All accounts and what is set aside in them: a demand is taken out of all its accounts or out of none.
//!
//! Pure: it is told the time and answers. The scripts on Redis do the same, and a test holds one against the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::budget::Budget;
use super::rate::Bucket;
use super::{Allowance, Claim, Demand, Rule, Verdict};

/// The accounts of whoever shares the book.
#[derive(Debug, Default)]
pub(super) struct Book {
    accounts: BTreeMap<String, Account>,
    /// What is set aside, by what it is settled by.
    open: BTreeMap<u64, Open>,
    /// When it lapses.
    lapses: BTreeSet<(u64, u64)>,
    granted: u64,
}

/// An account as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Account {
    Bucket(Bucket),
    Budget(Budget),
}

/// What one demand has set aside.
#[derive(Debug)]
struct Open {
    lapses_us: u64,
    /// Account, amount and window of each claim on a budget.
    budgets: Vec<(String, u64, u64)>,
}

impl Account {
    /// The account of `claim` as it is now.
    fn of(claim: &Claim, known: Option<&Self>, now_us: u64) -> Self {
        match (claim.rule, known) {
            (Rule::Rate(rate), Some(Self::Bucket(bucket))) => Self::Bucket(bucket.refilled(rate, now_us)),
            (Rule::Rate(rate), _) => Self::Bucket(Bucket::full(rate, now_us)),
            (Rule::Budget(rule), Some(Self::Budget(budget))) => Self::Budget(budget.turned(rule, now_us)),
            (Rule::Budget(rule), _) => Self::Budget(Budget::default().turned(rule, now_us)),
        }
    }

    /// How long it takes until `claim` fits; `None` if it never does.
    fn wait(self, claim: &Claim, now_us: u64) -> Option<Duration> {
        match (self, claim.rule) {
            (Self::Bucket(bucket), Rule::Rate(rate)) => bucket.wait(rate, claim.amount),
            (Self::Budget(budget), Rule::Budget(rule)) => budget.wait(rule, now_us, claim.amount),
            // An account is of its claim's kind: see `of`.
            _ => None,
        }
    }

    fn take(&mut self, amount: u64) {
        match self {
            Self::Bucket(bucket) => bucket.take(amount),
            Self::Budget(budget) => budget.take(amount),
        }
    }
}

impl Book {
    /// See [`super::LimitStore::reserve`].
    pub(super) fn reserve(&mut self, demand: &Demand, now_us: u64) -> Verdict {
        self.forget(now_us);
        let account = |claim: &Claim| Account::of(claim, self.accounts.get(&claim.account), now_us);
        let accounts: Vec<Account> = demand.claims.iter().map(account).collect();
        let waits = demand.claims.iter().zip(&accounts);
        let waits: Vec<_> = waits.map(|(claim, account)| account.wait(claim, now_us)).collect();
        if let Err(refusal) = fits(demand, &waits) {
            return refusal;
        }
        let mut budgets = Vec::new();
        for (claim, mut account) in demand.claims.iter().zip(accounts) {
            account.take(claim.amount);
            if let Account::Budget(budget) = &mut account {
                match demand.lapse {
                    Some(_) => budgets.push((claim.account.clone(), claim.amount, budget.window())),
                    None => budget.settle(claim.amount, claim.amount),
                }
            }
            self.accounts.insert(claim.account.clone(), account);
        }
        self.granted += 1;
        let id = self.granted;
        if let Some(lapse) = demand.lapse {
            let lapses_us = now_us.saturating_add(lapse.as_micros() as u64);
            self.open.insert(id, Open { lapses_us, budgets });
            self.lapses.insert((lapses_us, id));
        }
        let after = waits.into_iter().flatten().max().unwrap_or_default();
        Verdict::Granted { id, after }
    }

    /// See [`super::LimitStore::settle`].
    pub(super) fn settle(&mut self, id: u64, demand: &Demand, used: &[u64], now_us: u64) {
        self.forget(now_us);
        let Some(open) = self.open.remove(&id) else { return };
        self.lapses.remove(&(open.lapses_us, id));
        for (claim, used) in demand.claims.iter().zip(used) {
            let mut account = Account::of(claim, self.accounts.get(&claim.account), now_us);
            match (&mut account, claim.rule) {
                (Account::Bucket(bucket), Rule::Rate(rate)) => bucket.settle(rate, claim.amount, *used),
                (Account::Budget(budget), _) => budget.settle(claim.amount, *used),
                (Account::Bucket(_), Rule::Budget(_)) => {}
            }
            self.accounts.insert(claim.account.clone(), account);
        }
    }

    /// See [`super::LimitStore::left`].
    pub(super) fn left(&mut self, account: &str, rule: Allowance, now_us: u64) -> u64 {
        self.forget(now_us);
        match self.accounts.get(account) {
            Some(Account::Budget(budget)) => budget.turned(rule, now_us).left(rule),
            _ => Budget::default().left(rule),
        }
    }

    /// What nobody has settled in time is spent.
    fn forget(&mut self, now_us: u64) {
        while let Some((lapses_us, id)) = self.lapses.first() {
            if *lapses_us > now_us {
                return;
            }
            let open = self.open.remove(id);
            self.lapses.pop_first();
            for (account, amount, window) in open.into_iter().flat_map(|open| open.budgets) {
                if let Some(Account::Budget(budget)) = self.accounts.get_mut(&account) {
                    budget.lapse(amount, window);
                }
            }
        }
    }
}

/// Whether all claims fit, those on rates after the demand's patience at the latest; else the refusal. The claim that would
/// fit last is the one that is told: coming back when it fits helps.
fn fits(demand: &Demand, waits: &[Option<Duration>]) -> Result<(), Verdict> {
    let mut worst: Option<(usize, Duration)> = None;
    for (claim, wait) in waits.iter().enumerate() {
        let Some(wait) = *wait else {
            return Err(Verdict::Refused { claim, wait: None });
        };
        let patience = match demand.claims[claim].rule {
            Rule::Rate(_) => demand.patience,
            Rule::Budget(_) => Duration::ZERO,
        };
        if wait > patience && worst.is_none_or(|(_, longest)| wait > longest) {
            worst = Some((claim, wait));
        }
    }
    match worst {
        None => Ok(()),
        Some((claim, wait)) => Err(Verdict::Refused {
            claim,
            wait: Some(wait),
        }),
    }
}
