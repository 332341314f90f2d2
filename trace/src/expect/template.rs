//! The lines of events that are no accesses, as sentences with holes.

/// A sort of line: what an analyser calls it, and the sentence.
///
/// A hole takes as little as it can; the last one takes the rest of the line.
pub(super) struct Template {
    /// What the event is: the word for it where no register is meant.
    pub(super) what: &'static str,
    pub(super) line: &'static str,
}

const fn template(what: &'static str, line: &'static str) -> Template {
    Template { what, line }
}

/// All of them; the first that fits is the one.
pub(super) const TEMPLATES: &[Template] = &[
    template("request", "q{queue} request {head}: {kind} sector {sector}, {bytes} bytes: {status}"),
    template("segment", "q{queue} segment {index}: {sectors} sectors at {sector}, {flags}"),
    template("segment", "q{queue} segment {index}: {sectors} sectors at {sector}"),
    template("used element", "q{queue} used.ring[{slot}] <- id {id} len {len}"),
    template("used descriptor", "q{queue} desc[{slot}] <- id {id} len {len} {flags}"),
    template("used descriptor", "q{queue} desc[{slot}] <- id {id} len {len}"),
    template("descriptor", "q{queue} {table}[{index}] -> {addr} len {len} {flags}"),
    template("descriptor", "q{queue} {table}[{index}] -> {addr} len {len}"),
    template("buffer", "q{queue} {table}[{index}] {direction} {bytes} bytes at {addr}"),
    template("pending message", "msix {vector}: pending"),
    template("message", "msix {vector}: {data} to {address}"),
    template("pin", "{pin} {level}, gsi {gsi}"),
    template("line", "irq {line} {level}"),
    template("needs reset", "needs reset"),
    template("violation", "violation of {clause}: {violation}"),
    template("fault", "fault {fault}: {effect}"),
    template("barrier", "q{queue} {found} before the device's side is looked at"),
    template("altered descriptor", "q{queue} {table}[{index}] of request {head} was altered"),
    template("status byte", "q{queue} the status byte of request {head} was {value}"),
    template("enabled field", "q{queue} {field} was {value}"),
    template("memory", "memory {kind}: {bytes} bytes at {start}"),
    template("console", "console {line}"),
];

/// What stands in the holes, by their names and in their order.
pub(super) type Fields = Vec<(&'static str, String)>;

/// The template that `line` follows, and what stands in its holes.
pub(super) fn read(line: &str) -> Option<(&'static Template, Fields)> {
    TEMPLATES.iter().find_map(|template| Some((template, template.fields(line)?)))
}

impl Template {
    /// The names of the holes.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.line.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name)
    }

    fn fields(&self, line: &str) -> Option<Fields> {
        let (start, holes) = self.line.split_once('{').unwrap_or((self.line, ""));
        let mut rest = line.strip_prefix(start)?;
        let mut fields = Fields::new();
        for part in holes.split('{').filter(|part| !part.is_empty()) {
            let (name, literal) = part.split_once('}')?;
            let end = if literal.is_empty() { rest.len() } else { rest.find(literal)? };
            fields.push((name, rest[..end].to_string()));
            rest = &rest[end + literal.len()..];
        }
        rest.is_empty().then_some(fields)
    }

    /// The line with what `value` puts into the holes.
    pub(super) fn filled<'a>(&self, value: impl Fn(&str) -> &'a str) -> String {
        let (start, holes) = self.line.split_once('{').unwrap_or((self.line, ""));
        let mut line = start.to_string();
        for (name, literal) in holes.split('{').filter_map(|part| part.split_once('}')) {
            line.push_str(value(name));
            line.push_str(literal);
        }
        line
    }
}

/// Whether `text` is as `glob` says, where `*` is for anything.
pub(super) fn globbed(glob: &str, text: &str) -> bool {
    match glob.split_once('*') {
        None => glob == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len())
                .filter(|&at| text.is_char_boundary(at))
                .any(|at| globbed(rest, &text[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_for_anything_and_nothing() {
        for (glob, text) in [("", ""), ("*", ""), ("*", "é"), ("a*c", "abc"), ("*b*", "abc")] {
            assert!(globbed(glob, text), "{glob} {text}");
        }
        for (glob, text) in [("", "a"), ("a", ""), ("a*c", "abcd"), ("*d", "abc"), ("ab", "abc")] {
            assert!(!globbed(glob, text), "{glob} {text}");
        }
    }

    #[test]
    fn a_line_is_read_by_the_first_template_that_fits() {
        let read = |line| {
            let (template, fields) = read(line)?;
            let fields: Vec<_> = fields.iter().map(|(n, v)| format!("{n}={v}")).collect();
            Some(format!("{}: {}", template.what, fields.join(" ")))
        };
        let is = |line, expected: &str| assert_eq!(read(line).as_deref(), Some(expected), "{line}");
        is(
            "q0 request 1: type 0x77 sector 3, 0 bytes: unsupp",
            "request: queue=0 head=1 kind=type 0x77 sector=3 bytes=0 status=unsupp",
        );
        is(
            "q0 desc[1] -> b0 len 16 NEXT 2",
            "descriptor: queue=0 table=desc index=1 addr=b0 len=16 flags=NEXT 2",
        );
        is("q1 desc[1] -> 0x5 len 16", "descriptor: queue=1 table=desc index=1 addr=0x5 len=16");
        is("console a: b", "console: line=a: b");
        is("console ", "console: line=");
        assert_eq!(read("console"), None);
        assert_eq!(read("q0 avail.idx -> 0001"), None);
        assert_eq!(read("common device_status <- 0f"), None);
    }
}
