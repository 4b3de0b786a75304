//! What is told of an account's groups.

use std::process::ExitCode;

use anyhow::Context;

use crossbar_groups::config::{GroupsCommand, RingsArguments};
use crossbar_groups::document::Document;
use crossbar_groups::kazoo::rings::{Call, Element, Module, Told, rings};
use crossbar_groups::world::World;
use crossbar_groups::{files, open_store, ringing};

use super::output::{print, print_json};
use super::plan;

/// Does what is asked of groups.
pub async fn groups(command: GroupsCommand) -> anyhow::Result<ExitCode> {
    match command {
        GroupsCommand::Rings(arguments) => tell_rings(*arguments).await.map(|()| ExitCode::SUCCESS),
        GroupsCommand::Plan(arguments) => plan::plan(*arguments).await,
        GroupsCommand::Apply(arguments) => plan::apply(*arguments).await,
        GroupsCommand::Export(arguments) => plan::export(arguments).await,
    }
}

async fn tell_rings(arguments: RingsArguments) -> anyhow::Result<()> {
    let element = element(&arguments)?;
    let store = open_store(&arguments.store.location()?, &arguments.store.options()?).await?;
    let reading = ringing::read(store.as_ref(), arguments.account, element, |_| anyhow::Ok(())).await?;
    let call = Call {
        device: arguments.caller_device,
        user: arguments.caller_user,
        is_of_queue: arguments.queue,
        now: World::real().gregorian_seconds(),
    };
    let rings = rings(&reading, &call)?;
    if arguments.json { print_json(&rings) } else { print(&Told::of(&reading, rings).to_string()) }
}

/// The element that is to ring.
fn element(arguments: &RingsArguments) -> anyhow::Result<Element> {
    match &arguments.element {
        Some(file) => {
            let named = || file.display().to_string();
            let text = String::from_utf8(files::read(file)?).with_context(named)?;
            let document = Document::parse(&text).with_context(named)?;
            Element::read(document, arguments.module).with_context(named)
        }
        None => {
            let module = arguments.module.unwrap_or(Module::RingGroup);
            Ok(Element::of_group(arguments.group.as_deref().unwrap_or_default(), module, arguments.strategy))
        }
    }
}
