//! What is told of an account's groups, and what is brought back of them.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;

use crossbar_groups::config::{
    DeletedArguments, GroupsCommand, RestoreGroupsArguments, RingsArguments, UsedByArguments,
};
use crossbar_groups::document::Document;
use crossbar_groups::kazoo::rings::{Call, Element, Module, Told};
use crossbar_groups::operate::undo;
use crossbar_groups::store::SharedStore;
use crossbar_groups::world::World;
use crossbar_groups::{files, ringing, using};

use super::noticed::noticed;
use super::opened::opened;
use super::output::{print, print_json, print_report, status};
use super::plan;

/// Does what is asked of groups.
pub async fn groups(command: GroupsCommand) -> anyhow::Result<ExitCode> {
    match command {
        GroupsCommand::Rings(arguments) => tell_rings(*arguments).await.map(|()| ExitCode::SUCCESS),
        GroupsCommand::Deleted(arguments) => tell_deleted(arguments).await.map(|()| ExitCode::SUCCESS),
        GroupsCommand::Restore(arguments) => restore(*arguments).await,
        GroupsCommand::Plan(arguments) => plan::plan(*arguments).await,
        GroupsCommand::Apply(arguments) => plan::apply(*arguments).await,
        GroupsCommand::Export(arguments) => plan::export(arguments).await,
        GroupsCommand::UsedBy(arguments) => tell_uses(&arguments).await.map(|()| ExitCode::SUCCESS),
    }
}

async fn tell_deleted(arguments: DeletedArguments) -> anyhow::Result<()> {
    let store = opened(&arguments.store).await?;
    print_report(&undo::deleted(store.as_ref(), arguments.account).await?, arguments.json)
}

async fn restore(arguments: RestoreGroupsArguments) -> anyhow::Result<ExitCode> {
    let RestoreGroupsArguments { store, account, groups, json, notices } = arguments;
    let notices = notices.settings(store.trusted()?)?;
    let store = opened(&store).await?;
    let restored = async |store: SharedStore, world| undo::restore(store.as_ref(), account, &groups, world).await;
    let report = noticed(store, notices, "undo", restored).await?;
    print_report(&report, json)?;
    Ok(status(report.is_well()))
}

async fn tell_rings(arguments: RingsArguments) -> anyhow::Result<()> {
    let element = element(&arguments)?;
    let store = opened(&arguments.store).await?;
    let named = match arguments.group.as_deref().filter(|_| arguments.callflows) {
        Some(group) => Some(ringing::naming(store.as_ref(), arguments.account, group, |_| anyhow::Ok(())).await?),
        None => None,
    };
    let of_callflows = named.iter().flatten().filter_map(|named| named.element.clone());
    let elements = [element].into_iter().chain(of_callflows).collect();
    let reading = Arc::new(ringing::read_all(store.as_ref(), arguments.account, elements, |_| anyhow::Ok(())).await?);
    let call = Call {
        device: arguments.caller_device,
        user: arguments.caller_user,
        is_of_queue: arguments.queue,
        now: World::real().gregorian_seconds(),
    };
    let grow = |_| anyhow::Ok(());
    match arguments.json {
        true => print_json(&ringing::tell(reading, named, call, |_, rings| rings, grow).await?),
        false => print(&ringing::tell(reading, named, call, Told::of, grow).await?.to_string()),
    }
}

async fn tell_uses(arguments: &UsedByArguments) -> anyhow::Result<()> {
    let store = opened(&arguments.store).await?;
    let used = using::used_by(store.as_ref(), arguments.account, &arguments.group, |_| anyhow::Ok(())).await?;
    print_report(&used, arguments.json)
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
