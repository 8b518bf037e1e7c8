//! The table of routes. Requests are dispatched by it and the description of the API is made from it, so that the
//! two cannot differ.

use super::Http;
use super::access::Role;
use super::answer::{Answer, Body};
use super::call::{Call, Raw};
use super::counters::RouteCounters;
use super::openapi::{Contents, Schemas};
use super::problem::{Code, Problem};
use hyper::header::HeaderValue;
use hyper::{Method, Response, StatusCode};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::pin::Pin;
use std::rc::Rc;

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Problem>>>>;
type Handler = Box<dyn Fn(Rc<Http>, Raw) -> Answering>;

/// How a route tells problems where a standard wants another form: the response, and the schema of its body.
pub(crate) struct ProblemForm {
    /// Makes the response; the texts are the values of the path's parameters.
    pub(crate) render: fn(&Problem, &[String]) -> Response<Body>,
    /// Describes its body.
    pub(crate) schema: fn(&mut Schemas) -> schemars::Schema,
}

/// A response other than 200 that is no problem.
pub(super) struct Other {
    pub(super) status: StatusCode,
    pub(super) description: &'static str,
    pub(super) contents: fn(&mut Schemas) -> serde_json::Value,
}

/// A method on a path, what it takes and gives, and who answers.
pub(crate) struct Route {
    pub(super) method: Method,
    /// The path, where `{name}` is a parameter of one segment and `{name...}`, at the end, of all that are left.
    pub(super) pattern: &'static str,
    pub(super) names: Vec<&'static str>,
    pub(super) role: Option<Role>,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) problems: Vec<Code>,
    pub(super) others: Vec<Other>,
    pub(super) form: Option<ProblemForm>,
    pub(super) contents: fn(&mut Schemas) -> Contents,
    pub(super) counters: RouteCounters,
    pub(super) tag: &'static str,
    handler: Handler,
}

impl Route {
    /// A route for GET, and so for HEAD. `role` is what it takes, `None` if anybody may; `id` is its name in
    /// generated clients, unique among all routes.
    pub(crate) fn get<P, Q, B, A, F, T>(
        pattern: &'static str,
        role: impl Into<Option<Role>>,
        id: &'static str,
        summary: &'static str,
        handler: F,
    ) -> Route
    where
        P: DeserializeOwned + JsonSchema + 'static,
        Q: DeserializeOwned + JsonSchema + 'static,
        B: DeserializeOwned + JsonSchema + 'static,
        A: Answer,
        F: Fn(Rc<Http>, Call<P, Q, B>) -> T + Copy + 'static,
        T: Future<Output = Result<A, Problem>> + 'static,
    {
        Route::new(Method::GET, pattern, role.into(), id, summary, handler)
    }

    /// A route for POST; see [`Route::get`].
    pub(crate) fn post<P, Q, B, A, F, T>(
        pattern: &'static str,
        role: impl Into<Option<Role>>,
        id: &'static str,
        summary: &'static str,
        handler: F,
    ) -> Route
    where
        P: DeserializeOwned + JsonSchema + 'static,
        Q: DeserializeOwned + JsonSchema + 'static,
        B: DeserializeOwned + JsonSchema + 'static,
        A: Answer,
        F: Fn(Rc<Http>, Call<P, Q, B>) -> T + Copy + 'static,
        T: Future<Output = Result<A, Problem>> + 'static,
    {
        Route::new(Method::POST, pattern, role.into(), id, summary, handler)
    }

    /// A route for any method; see [`Route::get`].
    pub(crate) fn new<P, Q, B, A, F, T>(
        method: Method,
        pattern: &'static str,
        role: Option<Role>,
        id: &'static str,
        summary: &'static str,
        handler: F,
    ) -> Route
    where
        P: DeserializeOwned + JsonSchema + 'static,
        Q: DeserializeOwned + JsonSchema + 'static,
        B: DeserializeOwned + JsonSchema + 'static,
        A: Answer,
        F: Fn(Rc<Http>, Call<P, Q, B>) -> T + Copy + 'static,
        T: Future<Output = Result<A, Problem>> + 'static,
    {
        let names = parameter_names(pattern);
        let known: Rc<[&'static str]> = names.as_slice().into();
        let handler: Handler = Box::new(move |http, raw| {
            let names = known.clone();
            Box::pin(async move {
                let call = Call::read(&names, raw)?;
                handler(http, call).await.map(A::into_response)
            })
        });
        Route {
            method,
            pattern,
            names,
            role,
            id,
            summary,
            description: "",
            headers: Vec::new(),
            problems: Vec::new(),
            others: Vec::new(),
            form: None,
            contents: Contents::of::<P, Q, B, A>,
            counters: RouteCounters::default(),
            tag: "",
            handler,
        }
    }

    /// Says more than the summary does, in sentences.
    pub(crate) fn described(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// Names a header that the handler looks at.
    pub(crate) fn header(mut self, name: &'static str, description: &'static str) -> Self {
        self.headers.push((name, description));
        self
    }

    /// Lists the problems that the handler may answer with. Those of reading the request are added by themselves.
    pub(crate) fn problems(mut self, codes: &[Code]) -> Self {
        self.problems.extend_from_slice(codes);
        self
    }

    /// Lists a response with another status and no problem.
    pub(crate) fn also<A: Answer>(mut self, status: StatusCode, description: &'static str) -> Self {
        self.others.push(Other { status, description, contents: A::describe });
        self
    }

    /// Tells problems in another form.
    pub(crate) fn problem_form(mut self, form: ProblemForm) -> Self {
        self.form = Some(form);
        self
    }

    pub(super) fn call(&self, http: Rc<Http>, raw: Raw) -> Answering {
        (self.handler)(http, raw)
    }
}

/// The names in a pattern, in order.
fn parameter_names(pattern: &'static str) -> Vec<&'static str> {
    let parameters = pattern.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    parameters.map(|name| name.trim_end_matches("...")).collect()
}

/// Routes that belong together.
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
}

/// All routes of a node.
#[derive(Default)]
pub(super) struct Table {
    routes: Vec<Route>,
    groups: Vec<Group>,
    root: Segment,
}

/// What may follow in a path: literals, or else one parameter, never both, so that at most one route fits.
#[derive(Default)]
struct Segment {
    literals: Vec<(&'static str, Segment)>,
    parameter: Option<Box<Segment>>,
    /// A parameter that takes all that is left.
    rest: Option<Methods>,
    methods: Methods,
}

/// The methods of a path.
#[derive(Default)]
pub(super) struct Methods {
    /// Places in the table's list.
    routes: Vec<usize>,
    allow: String,
}

impl Table {
    /// Adds routes that belong together, with what is said of them all.
    pub(super) fn with(mut self, name: &'static str, description: &'static str, routes: Vec<Route>) -> Self {
        self.groups.push(Group { name, description });
        for mut route in routes {
            route.tag = name;
            let at = self.routes.len();
            let methods = self.root.grow(route.pattern);
            let is_new = methods.routes.iter().all(|at| self.routes[*at].method != route.method);
            assert!(is_new, "two routes for {} {}", route.method, route.pattern);
            methods.add(at, &route.method);
            self.routes.push(route);
        }
        self
    }

    pub(super) fn routes(&self) -> &[Route] {
        &self.routes
    }

    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The methods of a path, and its parameters' values as they stand there.
    pub(super) fn find<'a>(&self, path: &'a str) -> Option<(&Methods, Vec<&'a str>)> {
        let mut rest = path.strip_prefix('/');
        let mut segment = &self.root;
        let mut values = Vec::new();
        while let Some(path) = rest {
            if let Some(methods) = &segment.rest {
                values.push(path);
                return Some((methods, values));
            }
            let (first, behind) =
                path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
            segment = match &segment.parameter {
                Some(parameter) => {
                    values.push(first);
                    parameter
                }
                None => &segment.literals.iter().find(|(literal, _)| *literal == first)?.1,
            };
            rest = behind;
        }
        if let Some(methods) = &segment.rest {
            values.push("");
            return Some((methods, values));
        }
        if segment.methods.routes.is_empty() { None } else { Some((&segment.methods, values)) }
    }

    /// The route for a method; HEAD is a GET whose body is not sent.
    pub(super) fn route(&self, methods: &Methods, method: &Method) -> Option<&Route> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        methods.routes.iter().map(|at| &self.routes[*at]).find(|route| route.method == *method)
    }
}

impl Methods {
    /// What `Allow` says.
    pub(super) fn allow(&self) -> HeaderValue {
        HeaderValue::from_str(&self.allow).expect("methods are ASCII")
    }

    fn add(&mut self, at: usize, method: &Method) {
        self.routes.push(at);
        let separator = if self.allow.is_empty() { "" } else { ", " };
        let head = if *method == Method::GET { ", HEAD" } else { "" };
        self.allow = format!("{}{separator}{method}{head}", self.allow);
    }
}

impl Segment {
    fn grow(&mut self, pattern: &'static str) -> &mut Methods {
        let mut segment = self;
        for part in pattern.strip_prefix('/').expect("a path begins with a slash").split('/') {
            if part.ends_with("...}") {
                assert!(segment.is_leaf() && pattern.ends_with(part), "{pattern} is not the only one to fit");
                return segment.rest.get_or_insert_default();
            }
            if part.starts_with('{') {
                assert!(segment.literals.is_empty(), "{pattern} is not the only one to fit");
                segment = segment.parameter.get_or_insert_default();
                continue;
            }
            assert!(segment.parameter.is_none(), "{pattern} is not the only one to fit");
            let known = segment.literals.iter().position(|(literal, _)| *literal == part);
            let at = known.unwrap_or_else(|| {
                segment.literals.push((part, Segment::default()));
                segment.literals.len() - 1
            });
            segment = &mut segment.literals[at].1;
        }
        assert!(segment.rest.is_none(), "{pattern} is not the only one to fit");
        &mut segment.methods
    }

    fn is_leaf(&self) -> bool {
        self.literals.is_empty() && self.parameter.is_none() && self.methods.routes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::answer::Document;

    async fn handler(_: Rc<Http>, _: Call) -> Result<Document, Problem> {
        unreachable!("these routes are only looked for")
    }

    fn table() -> Table {
        let post = |pattern| Route::post(pattern, None, "x", "", handler);
        let delete = Route::new(Method::DELETE, "/tree/{path...}", None, "x", "", handler);
        Table::default().with(
            "group",
            "",
            vec![
                Route::get("/locks", None, "x", "", handler),
                Route::get("/locks/{name}", None, "x", "", handler),
                post("/locks/{name}/acquire"),
                post("/locks"),
                Route::get("/tree/{path...}", None, "x", "", handler),
                delete,
            ],
        )
    }

    #[test]
    fn paths_are_found_with_their_values() {
        let table = table();
        let find = |method: Method, path| {
            let (methods, values) = table.find(path)?;
            Some((table.route(methods, &method)?.pattern, values))
        };
        assert_eq!(find(Method::GET, "/locks"), Some(("/locks", vec![])));
        assert_eq!(find(Method::HEAD, "/locks"), Some(("/locks", vec![])));
        assert_eq!(find(Method::GET, "/locks/a%2Fb"), Some(("/locks/{name}", vec!["a%2Fb"])));
        assert_eq!(find(Method::POST, "/locks/a/acquire"), Some(("/locks/{name}/acquire", vec!["a"])));
        assert_eq!(find(Method::GET, "/tree/a/b"), Some(("/tree/{path...}", vec!["a/b"])));
        assert_eq!(find(Method::GET, "/tree/"), Some(("/tree/{path...}", vec![""])));
        assert_eq!(find(Method::GET, "/tree"), Some(("/tree/{path...}", vec![""])));
        for nowhere in ["", "/", "/lock", "/locks/a/b", "/locks/a/acquire/", "locks", "*"] {
            assert_eq!(find(Method::GET, nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn methods_that_are_not_there_are_known() {
        let table = table();
        let allow = |path| table.find(path).map(|(methods, _)| methods.allow().to_str().unwrap().to_string());
        assert_eq!(allow("/locks").as_deref(), Some("GET, HEAD, POST"));
        assert_eq!(allow("/tree/x").as_deref(), Some("GET, HEAD, DELETE"));
        assert_eq!(allow("/locks/a/acquire").as_deref(), Some("POST"));
    }

    #[test]
    #[should_panic = "not the only one to fit"]
    fn two_routes_never_fit_one_path() {
        let _ = table().with("more", "", vec![Route::get("/locks/all", None, "x", "", handler)]);
    }
}
