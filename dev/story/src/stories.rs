//! The two stories: the same access, without and with the plugin.

use std::io::Write;

use run::story::{End, StoryError};

use crate::{
    stage::Person::{Amy, Jane},
    teller::Teller,
};

const NOT_ASKED: &str = "you have not asked for this yet (cluster dev, namespace default)";
const USED: &str = "was for one use, and was used at ";

/// Requests and grants as objects, as `examples/objects` has them.
pub(crate) fn plain<W: Write>(teller: &mut Teller<'_, W>) -> Result<(), StoryError> {
    let exec = "kubectl exec box -- cat /etc/hostname";
    teller.say("1. jane runs a command in a pod. She has not asked for it.")?;
    teller.runs(Jane, exec, End::Refused(NOT_ASKED))?;
    teller.say("2. She asks, with an object.")?;
    let asked = teller.runs(
        Jane,
        "kubectl create -f examples/objects/request-once.yaml",
        End::Well(" created"),
    )?;
    let name = between(&asked, "accessrequest.spreadgroup.com/", " created")?;
    teller.say("3. amy reads it, and says yes in eight lines.")?;
    let read = teller.runs(
        Amy,
        &format!("kubectl get acr {name} -o yaml"),
        End::Well("username: jane"),
    )?;
    // Two blanks: that of the request, not of the pod.
    let uid = between(&read, "\n  uid: ", "\n")?;
    teller.runs(
        Amy,
        &grant(name, uid),
        End::Well(&format!("grant-{name} created")),
    )?;
    teller.say("4. The same command works, once.")?;
    let wait = format!("kubectl wait --for=condition=Granted --timeout=30s acr/{name}");
    teller.runs(Jane, &wait, End::Well("condition met"))?;
    teller.runs(Jane, exec, End::Well("box"))?;
    teller.runs(Jane, exec, End::Refused(USED)).map(drop)
}

fn grant(request: &str, uid: &str) -> String {
    format!(
        "kubectl apply -f - <<EOF\n\
         apiVersion: spreadgroup.com/v1\n\
         kind: AccessGrant\n\
         metadata:\n  \
           name: grant-{request}\n\
         spec:\n  \
           grantFor: {request}\n  \
           requestUID: {uid}\n\
         status: granted\n\
         EOF"
    )
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Result<&'a str, StoryError> {
    let found = text
        .split_once(before)
        .and_then(|(_, rest)| rest.split_once(after));
    found
        .map(|(word, _)| word)
        .ok_or_else(|| StoryError::NoName {
            output: text.to_owned(),
        })
}

/// Asked, granted and run with `kubectl request`.
pub(crate) fn plugin<W: Write>(teller: &mut Teller<'_, W>) -> Result<(), StoryError> {
    let exec = "kubectl exec deploy/nginx -- cat /etc/hostname";
    teller.say("1. jane runs a command in a pod. She has not asked for it.")?;
    teller.runs(Jane, exec, End::Refused(NOT_ASKED))?;
    teller.say("2. She asks, and waits.")?;
    let mut asked = teller.types(Jane, ASK)?;
    let name = asked.says("created accessrequest ")?;
    asked.says("waiting for a grant of ")?;
    teller.say("3. Meanwhile, amy sees it, and says yes.")?;
    teller.runs(Amy, "kubectl request list --pending", End::Well(&name))?;
    let mut approving = teller.types(Amy, &format!("kubectl request approve {name}"))?;
    approving.answers("([yN])?", "y\n")?;
    teller.ends(approving, End::Well("created grant grant-"))?;
    teller.say("4. What jane asked for runs.")?;
    teller.ends(asked, End::Well("is granted by amy, for one use\nnginx-"))?;
    teller.say("5. Once.")?;
    teller.runs(Jane, exec, End::Refused(USED)).map(drop)
}

/// How jane asks.
pub(crate) const ASK: &str = "kubectl request exec deploy/nginx --run --reason 'INC-42: which host is it?' -- cat /etc/hostname";
