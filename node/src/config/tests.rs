use super::*;

const MINIMAL: &str = "[node]\nid = 1\ncluster = \"c\"\ndata_dir = \"d\"\npeer = \"a:1\"\nclient = \"a:2\"\n\
                       http = \"a:3\"\n";

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("node.toml")).map_err(|error| error.to_string())
}

fn refused(text: &str) -> String {
    parse(text).expect_err("a mistake")
}

#[test]
fn the_example_is_valid_and_shows_the_defaults() {
    let example = parse(EXAMPLE).expect("the example is valid");
    let minimal = parse(MINIMAL).expect("the rest has defaults");
    assert_eq!(format!("{:?}", example.timing), format!("{:?}", minimal.timing));
    assert_eq!(format!("{:?}", example.limits), format!("{:?}", minimal.limits));
    assert_eq!(format!("{:?}", example.zookeeper), format!("{:?}", minimal.zookeeper));
    assert_eq!(format!("{:?}", example.log), format!("{:?}", minimal.log));
    assert_eq!(format!("{:?}", example.http), format!("{:?}", minimal.http));
    assert_eq!(format!("{:?}", example.doors), format!("{:?}", minimal.doors));
    assert_eq!(example.open_door(), None);
    let (tls, defaults) =
        (example.tls.as_ref().expect("shown"), parse(&secure("")).expect("valid").tls.expect("given"));
    assert_eq!((tls.peer, tls.client, tls.http), (defaults.peer, defaults.client, defaults.http));
    assert_eq!(example.bootstrap().map(|members| members.len()), Some(3));
    assert_eq!(minimal.bootstrap(), None);
}

#[test]
fn mistakes_are_told_with_their_line_and_key() {
    let wrong = |from: &str, to: &str| refused(&MINIMAL.replace(from, to));
    assert_eq!(wrong("id = 1", "id = 0"), "node.toml:2: `id`: a node's number is 1 to 255");
    assert_eq!(wrong("id = 1", "id = 256"), "node.toml:2: `id`: a node's number is 1 to 255");
    assert_eq!(wrong("\"a:2\"", "\"a\""), "node.toml:6: `client`: \"a\" is not host:port");
    assert_eq!(wrong("\"a:2\"", "\"a:0\""), "node.toml:6: `client`: \"a:0\" is not host:port");
    assert!(wrong("cluster", "klaster").starts_with("node.toml:3: `klaster`: unknown field"));
    assert!(wrong("id = 1\n", "").contains("missing field `id`"));
    assert!(wrong("id = 1", "id = ").starts_with("node.toml:2"));
}

#[test]
fn values_that_do_not_go_together_are_told_too() {
    let with = |more: &str| refused(&format!("{MINIMAL}{more}"));
    assert_eq!(
        with("[timing]\nheartbeat_ms = 300\n"),
        "node.toml:9: `heartbeat_ms`: at most a third of election_timeout_ms"
    );
    assert_eq!(with("[timing]\ntick_ms = 5\n"), "node.toml:9: `tick_ms`: from 10 to 60000 milliseconds");
    assert_eq!(with("[limits]\ninbox = 0\n"), "node.toml:9: `inbox`: must not be 0");
    let member = "[[member]]\nid = 2\npeer = \"b:1\"\nclient = \"b:2\"\n";
    assert!(with(member).contains("node 1 is none of the [[member]]s"));
    assert!(with(&member.repeat(2)).contains("two [[member]]s have the number 2"));
    assert!(with("[zookeeper]\nfour_letter_words = [\"nope\"]\n").starts_with("node.toml:9"));
}

#[test]
fn words_may_be_chosen() {
    let text = format!("{MINIMAL}[zookeeper]\nfour_letter_words = [\"ruok\", \"srvr\"]\n");
    let words = parse(&text).expect("valid").words().expect("known words");
    assert_eq!(words, [FourLetterWord::Ruok, FourLetterWord::Srvr]);
}

const TOKEN: &str = "[[token]]\nname = \"t\"\nrole = \"write\"\n\
                     sha256 = \"BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD\"\n";

/// The minimal configuration with TLS, and with more lines of its section.
fn secure(more: &str) -> String {
    format!("{MINIMAL}[tls]\ncertificate = \"c\"\nkey = \"k\"\nca = \"a\"\n{more}")
}

#[test]
fn whoever_listens_beyond_loopback_has_doors() {
    let open = |text: &str| parse(text).expect("valid").open_door();
    let lacking = |text: &str| open(text).map(|open| (open.key, open.to_string()));
    let here = MINIMAL.replace("\"a:", "\"127.0.0.1:");
    assert_eq!(open(&here), None);
    for (key, port) in [("peer", 1), ("client", 2), ("http", 3)] {
        let one = here.replace(&format!("127.0.0.1:{port}"), &format!("0.0.0.0:{port}"));
        let (lacks, sentence) = lacking(&one).expect("an open door");
        assert_eq!(lacks, key);
        assert!(sentence.starts_with(&format!("node.{key} = \"0.0.0.0:{port}\"")), "{sentence}");
        for remedy in
            ["quipu certs init", "quipu tokens new", "open_beyond_loopback_without_authentication = true"]
        {
            assert!(sentence.contains(remedy), "{sentence}");
        }
    }
    assert!(lacking(&secure("")).expect("no token").1.contains("there is no [[token]]"));
    assert_eq!(open(&secure(TOKEN)), None);
    for (key, plain) in [("peer", "peer"), ("client", "client"), ("http", "http")] {
        let text = secure(&format!("{plain} = \"plain\"\n{TOKEN}"));
        assert_eq!(lacking(&text).expect("an open door").0, key);
    }
    let said = "[doors]\nopen_beyond_loopback_without_authentication = true\n";
    assert_eq!(open(&format!("{MINIMAL}{said}")), None);
}

#[test]
fn mistakes_about_doors_are_told() {
    let token = |from: &str, to: &str| refused(&format!("{MINIMAL}{}", TOKEN.replace(from, to)));
    assert!(token("write", "root").contains("unknown variant `root`"));
    assert!(token("\"t\"", "\"\"").contains("1 to 128 bytes"));
    assert!(refused(&format!("{MINIMAL}{TOKEN}{TOKEN}")).contains("two [[token]]s have the name \"t\""));
    let told = token("BA78", "qp_the-token-itself");
    assert!(told.contains("node.toml:11: `sha256`: 64 hexadecimal digits"), "{told}");
    assert!(!told.contains("itself"), "{told}");
    assert!(refused(&secure("peer = \"tls\"\n")).contains("`tls.peer`: \"mutual\" or \"plain\""));
    assert!(refused(&secure("client = \"open\"\n")).contains("unknown variant `open`"));
    let unfit = secure("").replace("cluster = \"c\"", "cluster = \"my cluster\"");
    assert!(refused(&unfit).starts_with("node.toml:3: `cluster`: stands in the nodes' certificates"));
    assert!(parse(&unfit.replace("ca = ", "peer = \"plain\"\nca = ")).is_ok());
}

#[test]
fn a_configuration_shows_no_secret() {
    let digest = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=";
    let text = format!("{MINIMAL}{TOKEN}[zookeeper]\nsuper_digest = {digest:?}\n");
    let config = parse(&text).expect("valid");
    let shown = format!("{config:?}").to_lowercase();
    assert!(!shown.contains("ba78") && !shown.contains("d/inih"), "{shown}");
    assert_eq!(config.zookeeper.super_digest.expect("given").reveal(), digest);
    assert!(config.tokens[0].sha256.matches(&Sha256::of(b"abc")));
    assert!(!config.tokens[0].sha256.matches(&Sha256::of(b"abd")));
    assert_eq!(Sha256::of(b"abc").hex()[..8], *"ba7816bf");
}
