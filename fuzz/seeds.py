#!/usr/bin/env python3
"""Writes each target's first inputs, made of fixtures/, to the folder of its name below the one that is given."""

import json
import pathlib
import re
import sys

fixtures = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
corpus = pathlib.Path(sys.argv[1])
names = json.loads((fixtures / "variables.json").read_text())


def seed(target, *parts):
    folder = corpus / target
    folder.mkdir(parents=True, exist_ok=True)
    texts = [part if isinstance(part, str) else json.dumps(part, separators=(",", ":")) for part in parts]
    text = re.sub(r"\{([A-Za-z0-9_]+)\}", lambda name: names.get(name[1], name[0]), "\0".join(texts))
    (folder / f"{len(list(folder.iterdir())):04}").write_bytes(text.encode())


dumps = [json.loads(file.read_text()) for file in sorted((fixtures / "seed").iterdir())]
documents = [document for dump in dumps for document in dump["docs"] if "_attachments" not in document]
groups = [document for document in documents if document.get("pvt_type") == "group"]
scenarios = [json.loads(file.read_text()) for file in sorted((fixtures / "exchanges").iterdir())]
requests = [step["request"] for scenario in scenarios for step in scenario["steps"]]

for request in requests:
    headers = {name.lower(): value for name, value in request["headers"].items()}
    body = request.get("raw", request.get("json", ""))
    seed("path", request["path"], groups[0])
    if body:
        seed("body", headers.get("content-type", "application/json"), body)
    if isinstance(body, dict):
        seed("json", body)
        seed("schema", body.get("data"))
        if isinstance(body.get("data"), dict):
            seed("document", groups[0], body["data"])
    seed("token", headers.get("x-auth-token", ""), headers.get("authorization", ""), "192.0.2.1, [2001:db8::1]:80")

for document in documents:
    seed("json", document)
    seed("stored", document, "a/b")
    seed("couch", "200", document)
    seed("couch", "200", {"rows": [{"id": document["_id"], "key": "k", "value": {}, "doc": document}]})
    if "pvt_deleted" not in document:
        seed("document", document, {"name": "x", "endpoints": {"u": {"type": "user", "weight": None}}, "flags": []})
seed("stored", {"restrictions": {"_": {"_": {"_": [{"allowed_accounts": ["{AUTH_ACCOUNT_ID}"], "rules": {"#/a": ["_"]}}]}}}}, "a/b")
seed("token", {"iss": "kazoo", "identity_sig": "x", "account_id": "a", "owner_id": "o", "method": "m", "exp": 1})
for answer in [{"version": "3.5.0"}, ["a", "b"], {"rev": "1-a"}, {"all_nodes": ["a"], "cluster_nodes": ["a"]}]:
    seed("couch", "200", answer)

schemas = fixtures.parent / "src" / "kazoo" / "schemas"
for schema in schemas.iterdir():
    seed("schema", {"name": "a", "endpoints": {"u": {}}}, schema.read_text())
keywords = {"allOf": [{}], "anyOf": [{}], "oneOf": [{}], "not": {}, "$ref": "#/definitions/a", "dependencies": {"a": ["b"]}}
rules = {"enum": [1], "pattern": "^a+$", "minItems": 1, "uniqueItems": True, "multipleOf": 2, "maximum": 3, "default": {}}
seed("schema", {"a": [1]}, {"properties": {"a": {**rules, "items": [{}]}}, "patternProperties": {"^b": rules}, **keywords})

for arguments in [
    "http://admin:PASSWORD@127.0.0.1:5984,http://b", "amqp://guest:PASSWORD@127.0.0.1:5672/%2f", "folder",
    "serve --listen 127.0.0.1:0 --rate-limit kazoo --trusted-proxy 10.0.0.1", "audit --store data --fix --json",
    "migrate http://admin:PASSWORD@a data --account {B}", "views install --replace groups",
]:
    seed("operator", arguments, dumps[0])
