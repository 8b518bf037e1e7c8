//! The description of the API, OpenAPI 3.1, made from the table of routes.

use super::answer::Answer;
use super::problem::{self, Code, Problem};
use super::routes::{Route, Table};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::any::TypeId;
use std::collections::BTreeMap;

/// The schemas of all types, of what comes in and of what goes out.
pub(crate) struct Schemas {
    /// Of requests.
    pub(crate) input: SchemaGenerator,
    /// Of responses.
    pub(crate) output: SchemaGenerator,
}

/// What a route takes and gives.
pub(super) struct Contents {
    path: Schema,
    query: Schema,
    /// The body, and whether there must be one.
    body: Option<(Schema, bool)>,
    answer: Value,
}

impl Contents {
    pub(super) fn of<P: JsonSchema, Q: JsonSchema, B: JsonSchema + 'static, A: Answer>(
        schemas: &mut Schemas,
    ) -> Contents {
        let has_body = TypeId::of::<B>() != TypeId::of::<super::call::Nothing>();
        let body = has_body.then(|| {
            let is_required = B::json_schema(&mut schemas.input).get("required").is_some();
            (schemas.input.subschema_for::<B>(), is_required)
        });
        Contents {
            path: P::json_schema(&mut schemas.input),
            query: Q::json_schema(&mut schemas.input),
            body,
            answer: A::describe(schemas),
        }
    }
}

impl Schemas {
    fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Schemas {
            input: settings().for_deserialize().into_generator(),
            output: settings().for_serialize().into_generator(),
        }
    }

    /// All that were named.
    fn finish(mut self) -> Map<String, Value> {
        let mut all = self.input.take_definitions(true);
        for (name, schema) in self.output.take_definitions(true) {
            let known = all.insert(name.clone(), schema.clone());
            assert!(known.is_none_or(|known| known == schema), "two types are called {name}");
        }
        all
    }
}

/// Describes a node's routes. `needs_tokens` says whether this node asks for tokens.
pub(super) fn describe(table: &Table, needs_tokens: bool) -> Value {
    let mut schemas = Schemas::new();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in table.routes() {
        let method = route.method.as_str().to_ascii_lowercase();
        let operation = operation(route, needs_tokens, &mut schemas);
        paths.entry(route.pattern.replace("...}", "}")).or_default().insert(method, operation);
    }
    let tag = |group: &super::routes::Group| json!({ "name": group.name, "description": group.description });
    let tags: Vec<Value> = table.groups().iter().map(tag).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Quipu",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Locks with fencing tokens, elections, feature flags and a tree of data, replicated. \
                Whatever goes wrong is told as a problem (RFC 9457) whose `type` programs may rely on. Unknown \
                fields and parameters are refused.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "key": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
            },
        },
    })
}

fn operation(route: &Route, needs_tokens: bool, schemas: &mut Schemas) -> Value {
    let contents = (route.contents)(schemas);
    let mut parameters = fields(&contents.path, "path");
    let of_path: Vec<&str> = parameters.iter().filter_map(|parameter| parameter["name"].as_str()).collect();
    let mut names = route.names.clone();
    names.sort_unstable();
    assert_eq!(of_path, names, "the path's parameters of {}", route.id);
    parameters.extend(fields(&contents.query, "query"));
    parameters.extend(route.headers.iter().map(|(name, description)| {
        json!({ "name": name, "in": "header", "description": description, "schema": { "type": "string" } })
    }));
    let mut operation = json!({
        "operationId": route.id,
        "tags": [route.tag],
        "summary": route.summary,
        "parameters": parameters,
        "responses": responses(route, &contents, schemas),
    });
    if !route.description.is_empty() {
        operation["description"] = route.description.into();
    }
    if let Some((schema, is_required)) = contents.body {
        operation["requestBody"] =
            json!({ "required": is_required, "content": { "application/json": { "schema": schema } } });
    }
    if let Some(role) = route.role {
        operation["x-role"] = role.as_str().into();
        if needs_tokens {
            operation["security"] = json!([{ "bearer": [] }, { "key": [] }]);
        }
    }
    operation
}

/// The fields of a struct as parameters.
fn fields(schema: &Schema, place: &str) -> Vec<Value> {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|other| other == name));
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Vec::new() };
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        // A parameter is left out rather than null.
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            types.retain(|kind| kind != "null");
            if let [only] = &types[..] {
                schema["type"] = only.clone();
            }
        }
        let required = is_required(name);
        let mut parameter = json!({ "name": name, "in": place, "required": required, "schema": schema });
        if let Some(description) = description {
            parameter["description"] = description;
        }
        parameter
    };
    properties.iter().map(parameter).collect()
}

fn responses(route: &Route, contents: &Contents, schemas: &mut Schemas) -> Value {
    let mut responses = Map::new();
    responses.insert("200".into(), contents.answer.clone());
    for other in &route.others {
        let mut response = (other.contents)(schemas);
        response["description"] = other.description.into();
        responses.insert(other.status.as_str().into(), response);
    }
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in problems(route, contents) {
        let codes = by_status.entry(code.status().as_u16()).or_default();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    for (status, codes) in by_status {
        let response = responses.entry(status.to_string()).or_insert_with(|| match &route.form {
            None => {
                let schema = Problem::schema(&mut schemas.output);
                json!({ "content": { problem::MEDIA_TYPE: { "schema": schema } } })
            }
            Some(form) => json!({ "content": { "application/json": { "schema": (form.schema)(schemas) } } }),
        });
        if response.get("description").is_none() {
            let meanings = codes.iter().map(|code| format!("`{}`: {}.", code.name(), code.title()));
            response["description"] = meanings.collect::<Vec<String>>().join("\n\n").into();
        }
    }
    responses.into()
}

/// What a route may answer with: what its handler does, and what comes of reading requests.
fn problems(route: &Route, contents: &Contents) -> Vec<Code> {
    let mut codes = vec![Code::BadRequest, Code::RequestTimeout, Code::PayloadTooLarge];
    codes.push(Code::UnsupportedMediaType);
    if route.role.is_some() {
        codes.extend([Code::Unauthorized, Code::Forbidden]);
    }
    if contents.answer.pointer("/content/text~1event-stream").is_some() {
        codes.push(Code::TooMany);
    }
    codes.extend(&route.problems);
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_route_is_described_and_every_reference_leads_somewhere() {
        let table = crate::http::table();
        let document = describe(&table, true);
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let mut ids = Vec::new();
        for route in table.routes() {
            let path = route.pattern.replace("...}", "}");
            let operation = &document["paths"][&path][route.method.as_str().to_ascii_lowercase()];
            assert_eq!(operation["operationId"], route.id, "{path}");
            assert!(!route.summary.is_empty() && operation["responses"]["200"].is_object(), "{path}");
            assert_eq!(operation["security"].is_array(), route.role.is_some(), "{path}");
            ids.push(route.id);
        }
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!((ids.len(), count >= 8), (count, true), "ids are unique");
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("references stay within");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn what_is_checked_is_what_is_described() {
        let document = describe(&crate::http::table(), false);
        let add = &document["paths"]["/v1/members"]["post"];
        assert_eq!(add["requestBody"]["required"], true);
        let member = &document["components"]["schemas"]["NewMember"];
        assert_eq!(member["additionalProperties"], false);
        assert_eq!(member["properties"]["id"]["maximum"], 255);
        let promote = &document["paths"]["/v1/members/{id}/promote"]["post"];
        assert_eq!(promote["parameters"][0]["schema"]["minimum"], 1);
        assert!(promote["security"].is_null() && promote["requestBody"].is_null());
        for status in ["400", "401", "403", "404", "409", "503", "504"] {
            assert!(promote["responses"][status]["content"][problem::MEDIA_TYPE].is_object(), "{status}");
        }
    }
}
