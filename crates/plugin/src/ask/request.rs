//! A request as it is sent.

use std::io;

use api::names::{self, USERNAME_LABEL};
use api::{AccessRequest, AccessRequestSpec, ExecOptions, ForObject};
use decide::attempt::Door;
use kube::ResourceExt;

use crate::target::container::Choice;
use crate::target::place::Place;
use crate::terminal::Terminal;

/// What a request says of its door and of where that leads, with empty options of exec: clients of
/// the original read those of every request.
pub fn through(door: Door, place: &Place) -> AccessRequestSpec {
    AccessRequestSpec {
        for_object: ForObject {
            resource: place.resource.clone(),
            sub_resource: door.subresource().to_owned(),
            name: place.name.clone(),
            ..ForObject::default()
        },
        exec_options: Some(ExecOptions::default()),
        ..AccessRequestSpec::default()
    }
}

/// The name of the chosen container, after what is worth telling about the choice was told.
///
/// # Errors
/// When the stream fails.
pub fn told(choice: Choice, terminal: &mut Terminal<'_>) -> io::Result<String> {
    if let Some(note) = &choice.note {
        writeln!(terminal.err, "{note}")?;
    }
    Ok(choice.name)
}

/// The request as it is sent. Who asks, and the UID of what is asked for, is the server's to say.
pub fn compose(
    verb: &str,
    mut spec: AccessRequestSpec,
    user: &str,
    namespace: &str,
) -> AccessRequest {
    spec.for_object.namespace = Some(namespace.to_owned());
    let slug = names::slug(user);
    let mut request = AccessRequest::new("", spec);
    request.metadata.name = None;
    request.metadata.generate_name = Some(names::generate_name(verb, &slug));
    request.metadata.namespace = Some(namespace.to_owned());
    request.labels_mut().insert(USERNAME_LABEL.to_owned(), slug);
    request
}
