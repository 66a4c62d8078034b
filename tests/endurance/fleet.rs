//! Members that join and leave at random.
//!
//! # Invariants
//! - F1: whatever ends without being told to is a fault, but for what Kafka demands of static members.
//! - F2: after SIGTERM a member ends by itself, with exit code 0. One that was frozen may not know yet
//!   that it is no member any more, and has something unsettled then: exit code 4.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tokio::task::JoinSet;

use crate::figures::Figures;
use crate::load::Model;
use crate::membership::{Membership, Sessions};
use crate::scene::{STALL, Scene, Watchdog};
use crate::support::service::{Ended, Service};
use crate::support::wait::eventually;

/// Between two things that happen to members.
const PACE: std::ops::Range<u64> = 100..900;
/// A drain's deadline, the last commit and leaving, on a busy machine.
const LEAVING: Duration = Duration::from_secs(60);
/// The watchdog ends a wait that is in vain.
const FOR_EVER: Duration = Duration::from_secs(86_400);
/// Longer than a short session, and than the broker's under KIP-848.
const FROZEN: Duration = Duration::from_secs(7);
const ASSIGNED: &str = "partitions assigned";
const LOST: &str = "\"lost\":true";
/// Under KIP-848 a static member that died is only replaced once its session has timed out.
const UNRELEASED: &str = "UnreleasedInstanceId";

/// How members are made to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    Stop,
    Kill,
    /// Not leaving at all: frozen until the others have long taken over, then let go on.
    Freeze,
}

pub(crate) struct Fleet<'s> {
    scene: &'s Scene,
    membership: Membership,
    sessions: Sessions,
    slots: Vec<Slot>,
    leaving: JoinSet<(usize, Ended)>,
    dice: StdRng,
    watchdog: Watchdog,
    pub(crate) figures: Figures,
}

#[derive(Debug)]
enum Slot {
    Empty,
    Running(Box<Service>),
    Leaving,
}

impl<'s> Fleet<'s> {
    pub(crate) fn new(
        scene: &'s Scene,
        membership: Membership,
        slots: usize,
        dice: StdRng,
    ) -> Self {
        Self {
            scene,
            membership,
            sessions: Sessions::Patient,
            slots: (0..slots).map(|_| Slot::Empty).collect(),
            leaving: JoinSet::new(),
            dice,
            watchdog: Watchdog::new(),
            figures: Figures::default(),
        }
    }

    /// Lets members come and go until so many have left.
    pub(crate) async fn churn(&mut self, leave: Leave, wanted: usize) {
        self.sessions = match leave {
            Leave::Stop => Sessions::Patient,
            Leave::Kill | Leave::Freeze => Sessions::Short,
        };
        let mut ended = 0;
        let mut flowed = false;
        while ended < wanted {
            tokio::time::sleep(Duration::from_millis(self.dice.random_range(PACE))).await;
            self.look_after().await;
            flowed |= self.watchdog.look(self.scene.counted().await);
            let running = self.running();
            let join = running.len() < 2 || self.dice.random_bool(0.5);
            if join && self.join() {
                continue;
            }
            // Three kills in four hit a group at work, the fourth one that may be busy with itself.
            let at_work = leave == Leave::Stop || flowed || self.dice.random_bool(0.25);
            if !running.is_empty() && at_work {
                let victim = running[self.dice.random_range(0..running.len())];
                match leave {
                    Leave::Stop => self.stop(victim).await,
                    Leave::Kill => self.kill(victim).await,
                    Leave::Freeze => self.freeze(victim).await,
                }
                flowed = false;
                ended += 1;
            }
        }
    }

    /// Waits for those who leave, then has one member at least.
    pub(crate) async fn settle(&mut self) {
        while let Some(left) = self.leaving.join_next().await {
            self.note_end(left.unwrap());
        }
        self.look_after().await;
        if self.running().is_empty() {
            assert!(self.join());
        }
    }

    /// Waits until as many events count as the model says, while there is progress, and until
    /// everything is committed.
    pub(crate) async fn finish(&mut self, model: &Model) {
        let scene = self.scene;
        eventually(FOR_EVER, "all events", async || {
            self.settle().await;
            let counted = scene.counted().await;
            self.watchdog.look(counted);
            if counted >= model.events {
                return Ok(());
            }
            Err(format!("{counted} of {} count", model.events))
        })
        .await;
        scene.all_committed().await;
    }

    /// Stops everyone.
    pub(crate) async fn disband(&mut self) {
        for slot in self.running() {
            self.stop(slot).await;
        }
        while let Some(left) = self.leaving.join_next().await {
            self.note_end(left.unwrap());
        }
    }

    /// Keeps members that Kafka would not have back yet coming, as an orchestrator does.
    pub(crate) async fn look_after(&mut self) {
        while let Some(left) = self.leaving.try_join_next() {
            self.note_end(left.unwrap());
        }
        for at in 0..self.slots.len() {
            let Slot::Running(service) = &mut self.slots[at] else { continue };
            if service.is_running() {
                continue;
            }
            let Slot::Running(service) = std::mem::replace(&mut self.slots[at], Slot::Empty) else {
                continue;
            };
            let ended = service.ended(LEAVING).await;
            let excused = self.membership == Membership::StaticByBroker
                && ended.status.code() == Some(1)
                && ended.log.contains(UNRELEASED);
            assert!(excused, "a member ended by itself, {}:\n{}", ended.status, ended.log);
            self.figures.unreleased += 1;
        }
    }

    fn running(&self) -> Vec<usize> {
        let running = |slot: &Slot| matches!(slot, Slot::Running(_));
        (0..self.slots.len()).filter(|at| running(&self.slots[*at])).collect()
    }

    /// Starts a member in an empty slot. Gives whether there was one.
    fn join(&mut self) -> bool {
        let empty: Vec<_> =
            (0..self.slots.len()).filter(|at| matches!(self.slots[*at], Slot::Empty)).collect();
        if empty.is_empty() {
            return false;
        }
        let slot = empty[self.dice.random_range(0..empty.len())];
        let properties = self.membership.properties(slot, self.sessions);
        let service = Service::start(&self.scene.config(&properties));
        self.slots[slot] = Slot::Running(Box::new(service));
        self.figures.joins += 1;
        true
    }

    async fn stop(&mut self, slot: usize) {
        let Slot::Running(service) = std::mem::replace(&mut self.slots[slot], Slot::Leaving) else {
            return;
        };
        service.terminate().await;
        self.leaving.spawn(async move { (slot, service.ended(LEAVING).await) });
        self.figures.stops += 1;
    }

    async fn kill(&mut self, slot: usize) {
        let Slot::Running(service) = std::mem::replace(&mut self.slots[slot], Slot::Empty) else {
            return;
        };
        // One in six dies while it drains.
        if self.dice.random_bool(0.16) {
            service.terminate().await;
            tokio::time::sleep(Duration::from_millis(self.dice.random_range(0..200))).await;
        }
        self.note_log(&service.log());
        service.kill().await;
        self.figures.kills += 1;
    }

    /// Freezes a member until the others have gone on without it.
    async fn freeze(&mut self, slot: usize) {
        let Slot::Running(service) = &self.slots[slot] else { return };
        service.freeze().await;
        tokio::time::sleep(FROZEN).await;
        let before = self.scene.counted().await;
        eventually(STALL, "the others to go on", async || {
            self.scene.counted().await > before + 100
        })
        .await;
        let Slot::Running(service) = &self.slots[slot] else { return };
        service.thaw().await;
        self.figures.freezes += 1;
    }

    fn note_end(&mut self, (slot, ended): (usize, Ended)) {
        let code = ended.status.code();
        let may_be_behind = self.figures.freezes > 0 && code == Some(4);
        assert!(code == Some(0) || may_be_behind, "{} after SIGTERM:\n{}", ended.status, ended.log);
        self.note_log(&ended.log);
        self.slots[slot] = Slot::Empty;
    }

    fn note_log(&mut self, log: &str) {
        assert!(!log.contains("panicked"), "{log}");
        self.figures.assignments += log.matches(ASSIGNED).count();
        self.figures.lost_assignments += log.matches(LOST).count();
    }
}
