//! Named points at which a test holds the process, to kill it there. Only a build with the feature
//! `failpoints` has them, and it holds nowhere but where `KRA_FAILPOINT` says.

/// A point on the way of an attempt that a request covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failpoint {
    /// It is confirmed, and the audit webhook was not told.
    BeforeIntent,
    /// The audit webhook was told.
    AfterIntent,
    /// The compare-and-swap comes next.
    BeforeSpend,
    /// The use is spent.
    AfterSpend,
    /// The answer is made, and not handed over.
    BeforeAnswer,
}

impl Failpoint {
    /// As `KRA_FAILPOINT` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeIntent => "before-intent",
            Self::AfterIntent => "after-intent",
            Self::BeforeSpend => "before-spend",
            Self::AfterSpend => "after-spend",
            Self::BeforeAnswer => "before-answer",
        }
    }

    /// Goes on at once, except where a test wants to hold: then never.
    #[cfg(feature = "failpoints")]
    pub async fn reached(self, uid: &str) {
        if std::env::var("KRA_FAILPOINT").is_ok_and(|wanted| wanted == self.name()) {
            tracing::warn!(uid, failpoint = self.name(), "held at a failpoint");
            std::future::pending::<()>().await;
        }
    }

    /// Goes on at once.
    #[cfg(not(feature = "failpoints"))]
    pub fn reached(self, _uid: &str) -> std::future::Ready<()> {
        std::future::ready(())
    }
}
