package units

import "strconv"

// AppendSchema writes a JSON schema (draft 2020-12) of a kind of unit file after buf, for editors: an object with a
// property for each section and, in the sections that Quadlet knows, a property for each key. Keys that add up may be a
// string or a list of strings. Sections of systemd are not described.
func AppendSchema(buf []byte, k Kind) []byte {
	buf = append(buf, `{"$schema":"https://json-schema.org/draft/2020-12/schema","title":`...)
	buf = strconv.AppendQuote(buf, k.Extension())
	buf = append(buf, `,"type":"object","properties":{`...)
	for i, section := range [...]Kind{k, KindQuadlet, KindBerth} {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = appendSection(buf, section)
	}
	return append(buf, "}}\n"...)
}

func appendSection(buf []byte, k Kind) []byte {
	buf = strconv.AppendQuote(buf, k.String())
	buf = append(buf, `:{"type":"object","additionalProperties":false,"properties":{`...)
	section := NewSection(k)
	for i, row := range RowsOf(k) {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = append(strconv.AppendQuote(buf, row.Name), ":{"...)
		if grammar := row.Value(section).Grammar(); grammar.Repeatable {
			buf = append(buf, `"type":["string","array"],"items":{"type":"string"}`...)
		} else {
			buf = append(buf, `"type":"string"`...)
		}
		buf = strconv.AppendQuote(append(buf, `,"description":`...), row.Doc+" Since "+row.SinceIn(k)+".")
		if row.Trait == Old {
			buf = append(buf, `,"deprecated":true`...)
		}
		buf = append(buf, '}')
	}
	return append(buf, "}}"...)
}
