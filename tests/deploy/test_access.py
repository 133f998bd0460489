"""Access rights: one list, told to Strimzi, to kafka-acls and as JSON."""

import itertools
import json
import shlex
from typing import Any

import yaml
from typer.testing import CliRunner

from examples.shop.jobs import shop
from headrace.console.commands.acl import app
from headrace.console.output import UsageError
from headrace.deploy.access import Operation, Resource, Role, rules_of
from headrace.deploy.profile import profile_of
from headrace.deploy.rendering import render_strimzi

SHOP = "examples.shop.jobs:shop"


def printed(*options: str) -> str:
    done = CliRunner().invoke(app, ["render", SHOP, *options])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_strimzi_the_commands_and_the_json_say_the_same() -> None:
    profile = profile_of({"image": "x", "kafka": {"bootstrap_servers": "k"}}, "test")
    users = yaml.load_all(render_strimzi(shop, SHOP, profile)["users.yaml"], yaml.CSafeLoader)
    strimzi = {
        (user["metadata"]["name"], acl["resource"]["name"], operation)
        for user in users
        for acl in user["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    }
    entries: list[dict[str, Any]] = json.loads(printed("--json"))
    told = {
        (each["principal"].removeprefix("User:"), each["name"], operation)
        for each in entries
        for operation in each["operations"]
    }
    commands = set()
    for line in printed().splitlines():
        words = shlex.split(line)
        given = list(itertools.pairwise(words))
        [user] = [value for flag, value in given if flag == "--allow-principal"]
        flags = {"--topic", "--group", "--transactional-id"}
        [name] = [value for flag, value in given if flag in flags]
        commands |= {
            (user.removeprefix("User:"), name, value)
            for flag, value in given
            if flag == "--operation"
        }
    assert strimzi == told == commands


def test_nobody_but_topics_may_make_or_change_a_topic_and_nobody_may_delete_one() -> None:
    changing = {Operation.CREATE, Operation.ALTER, Operation.ALTER_CONFIGS}
    rules = [(role, rule) for role in Role for rule in rules_of(shop, role)]
    found = {(role, rule.name) for role, rule in rules if changing & {*rule.operations}}
    # Faust asks for its table's topic, which is there already.
    asking = (Role.STATISTICS, shop.topology.statistics_rows)
    assert {role for role, _ in found - {asking}} == {Role.TOPICS}


def test_keda_may_look_at_lanes_and_their_groups_and_read_nothing() -> None:
    rules = rules_of(shop, Role.KEDA)
    assert {each for rule in rules for each in rule.operations} == {Operation.DESCRIBE}
    lanes = {lane.topic for lane in shop.topology.lanes()}
    for resource in (Resource.TOPIC, Resource.GROUP):
        assert {rule.name for rule in rules if rule.resource is resource} == lanes


def test_a_certificates_principal_is_written_as_the_cluster_names_it() -> None:
    line = printed("--role", "keda", "--principal", "User:CN={}").splitlines()[0]
    assert "--allow-principal User:CN=shop-keda" in line
    failed = CliRunner().invoke(app, ["render", SHOP, "--principal", "User:me"])
    assert isinstance(failed.exception, UsageError)
