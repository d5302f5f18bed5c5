//! A request as somebody reads it before they answer, with what must be looked up for that.

use api::AccessRequest;
use decide::rules::is_name;
use decide::text::safe_word;
use kube::ResourceExt as _;

use super::{stored, summary};
use crate::cluster::Cluster;
use crate::terminal::Terminal;

/// The summary of a request. `shorter` is the validity that the approver gives instead.
pub async fn summary(
    request: &AccessRequest,
    shorter: Option<&str>,
    cluster: &Cluster,
    terminal: &Terminal<'_>,
) -> String {
    summary_of_all(std::slice::from_ref(request), shorter, cluster, terminal).await
}

/// The same of requests that ask for the same, and are answered together.
pub async fn summary_of_all(
    requests: &[AccessRequest],
    shorter: Option<&str>,
    cluster: &Cluster,
    terminal: &Terminal<'_>,
) -> String {
    let Some(request) = requests.first() else {
        return String::new();
    };
    let follows = follows(request, cluster).await;
    let group: Vec<String> = requests
        .iter()
        .map(|request| safe_word(&request.name_any()))
        .collect();
    let title = cluster.title();
    let reader = terminal.reader(&title);
    let beside = summary::Beside {
        shorter,
        follows: follows.as_deref(),
        group: &group,
    };
    summary::of(request, &beside, &reader)
}

/// Which earlier request it names, and whether it asks for the same: the name alone says nothing, for
/// whoever asks chose it.
async fn follows(request: &AccessRequest, cluster: &Cluster) -> Option<String> {
    let name = request.spec.follows.as_deref()?;
    let shown = safe_word(name);
    if !is_name(name) {
        return Some(format!("{shown}, which is not the name of a request"));
    }
    // The server has checked that it was the same user's.
    let Ok(earlier) = cluster.request(name).await else {
        return Some(format!("{shown}, which cannot be read any more"));
    };
    let fields = stored::fields_that_differ(&earlier.spec, &request.spec);
    Some(if fields.is_empty() {
        format!("{shown}, which asked for the same")
    } else {
        format!(
            "{shown}, which asked for SOMETHING ELSE: {}",
            fields.join(", ")
        )
    })
}
