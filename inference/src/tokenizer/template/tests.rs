use super::*;

fn render(template: &str, chat: &Chat) -> Result<String, TokenizerError> {
    let special = vec![("bos_token".to_owned(), "<s>".to_owned())];
    let named = vec![("default".to_owned(), template.to_owned())];
    Templates::new(named, special)?.unwrap().render(chat)
}

fn chat(json: &str) -> Chat {
    Chat { messages: serde_json::from_str(json).unwrap(), ..Chat::default() }
}

fn hello() -> Chat {
    chat(r#"[{"role":"user","content":" Hi, Bob "}]"#)
}

#[test]
fn templates_print_what_jinja_prints() {
    for (template, want) in [
        ("{{ messages[0].content.strip() }}", "Hi, Bob"),
        ("{{ messages[0]['content'].split(',')[-1].lstrip() }}|", "Bob |"),
        ("{{ 'a-b'.replace('-', '+').upper() }} {{ 'ab cd'.title() }}", "A+B Ab Cd"),
        ("{% if messages[0].content.startswith(' H') %}yes{% endif %}", "yes"),
        ("{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}{{ v }}{% endfor %}", "a1b2"),
        ("{% for x in [1, 2, 3] %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}", "1"),
        ("{% for x in [1, 2] %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "2"),
        ("{% for m in messages[::-1] %}{{ m.role }}{% endfor %}", "user"),
        ("a\n{%- generation -%}\n b {%- endgeneration %}c", "abc"),
        ("{{ bos_token }}{{ unk_token }}", "<s>"),
        (
            "{{ true }} {{ none }} {{ [1, 'a', \"it's\"] }} {{ {'k': false} }}",
            "True None [1, 'a', \"it's\"] {'k': False}",
        ),
        ("{{ {'b': [1, 2.5], 'a': 'ü<'} | tojson }}", "{\"b\": [1, 2.5], \"a\": \"ü<\"}"),
        (
            "{{ {'b': [1], 'a': {}} | tojson(indent=2) }}",
            "{\n  \"b\": [\n    1\n  ],\n  \"a\": {}\n}",
        ),
        (
            "{{ {'b': 'ü', 'a': 1} | tojson(sort_keys=true, ensure_ascii=true) }}",
            "{\"a\": 1, \"b\": \"\\u00fc\"}",
        ),
        ("{{ {'a': [1, 2]} | tojson(separators=(',', ':')) }}", "{\"a\":[1,2]}"),
        (
            "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
            "1",
        ),
        (
            "{{ tools }} {{ add_generation_prompt }} {{ strftime_now('%Y') | length }}",
            "None True 4",
        ),
        ("{{ 'x' if tools is none else 'y' }}{{ documents is none }}", "xTrue"),
        ("{% if messages[0].content is string and messages[0] is mapping %}ok{% endif %}", "ok"),
    ] {
        assert_eq!(render(template, &hello()).unwrap(), want, "{template}");
    }
}

#[test]
fn a_templates_own_refusal_is_told_in_its_own_words() {
    let template = "{{ raise_exception('Roles must alternate: ' ~ messages[0].role) }}";
    let error = render(template, &hello()).unwrap_err();
    assert!(matches!(&error, TokenizerError::Raised(said) if said == "Roles must alternate: user"));
}

#[test]
fn a_template_that_fails_names_its_line() {
    for (template, at) in [("a\n{{ x.y.z }}", 2), ("\n\n{% if %}", 3), ("{{ 1 | nosuch }}", 1)] {
        let error = render(template, &hello()).unwrap_err();
        assert!(matches!(error, TokenizerError::Template { line, .. } if line == at), "{error}");
    }
    let endless =
        "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}";
    assert!(render(endless, &hello()).is_err());
}

#[test]
fn tools_calls_and_arguments_reach_the_template_in_their_order() {
    let mut chat = chat(
        r#"[{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function",
            "function":{"name":"f","arguments":"{\"z\":1,\"a\":\"x\"}"}}]},
            {"role":"tool","tool_call_id":"1","content":"42"}]"#,
    );
    let tool = r#"{"type":"function","function":{"name":"f","parameters":{"z":{},"a":{}}}}"#;
    chat.tools = vec![serde_json::from_str(tool).unwrap()];
    chat.arguments = vec![("enable_thinking".to_owned(), Json::from(serde_json::json!(false)))];
    let template = "{% for t in tools %}{{ t | tojson }}{% endfor %}\n\
                    {% for c in messages[0].tool_calls %}{{ c.function.arguments | tojson }}{% endfor %} \
                    {{ messages[1].tool_call_id }} {{ enable_thinking }} {{ messages[0].content is none }}";
    let want = "{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": {\"z\": {}, \"a\": {}}}}\
                {\"z\": 1, \"a\": \"x\"} 1 False True";
    assert_eq!(render(template, &chat).unwrap(), want);
    chat.arguments = vec![("messages".to_owned(), Json::from(serde_json::json!([])))];
    assert!(matches!(render("x", &chat), Err(TokenizerError::ReservedArgument("messages"))));
}

#[test]
fn a_template_for_tools_serves_chats_with_tools() {
    let named = [("default", "plain"), ("tool_use", "tools"), ("rag", "rag")];
    let named = named.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
    let templates = Templates::new(named, Vec::new()).unwrap().unwrap();
    let mut chat = hello();
    assert_eq!(templates.render(&chat).unwrap(), "plain");
    chat.tools = vec![Json::from(serde_json::json!({}))];
    assert_eq!(templates.render(&chat).unwrap(), "tools");
}

#[test]
fn the_last_message_can_be_continued() {
    let template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}\
                    {% if add_generation_prompt %}<assistant>{% endif %}";
    let mut chat =
        chat(r#"[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello th"}]"#);
    chat.continues = true;
    assert_eq!(render(template, &chat).unwrap(), "<user>Hi<end><assistant>Hello th");
}

#[test]
fn dates_are_those_of_the_calendar() {
    for (seconds, want) in [
        (0, "1970-01-01 Thu 001 12 AM"),
        (951_782_400, "2000-02-29 Tue 060 12 AM"),
        (1_798_761_599, "2026-12-31 Thu 365 11 PM"),
    ] {
        assert_eq!(python::strftime("%F %a %j %I %p", seconds).unwrap(), want);
    }
    assert_eq!(python::strftime("%-d %B %y%%", 0).unwrap(), "1 January 70%");
    assert!(python::strftime("%Q", 0).is_err());
}
