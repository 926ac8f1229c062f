package format

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

type thing struct {
	Name   string            `json:"name"`
	DNS    bool              `json:"dns_enabled"`
	Labels map[string]string `json:"labels"`
	List   []string          `json:"list"`
	Deep   struct{ Size int64 }
	State  struct {
		StartedAt time.Time
		Health    struct{ Status string }
	}
}

func rows() []thing {
	r := thing{Name: "a", Labels: map[string]string{"y": "2", "x": "1"}, List: []string{"p", "q"}}
	r.Deep.Size = 1 << 60
	r.State.StartedAt, r.State.Health.Status = time.Unix(1798761599, 0).UTC(), "healthy"
	return []thing{r, {Name: "long-name", DNS: true}}
}

func TestRows(t *testing.T) {
	for _, tt := range []struct{ template, want string }{
		{"{{.Name}}", "a\nlong-name\n"},
		{`{{ .name }}\t{{.DNSEnabled}}`, "a\tfalse\nlong-name\ttrue\n"},
		{"{{.Deep.Size}}", "1152921504606846976\n0\n"},
		{"{{json .Labels}}", "{\"x\":\"1\",\"y\":\"2\"}\nnull\n"},
		{"{{.List}}|{{range .List}}<{{.}}>{{end}}|", "[p q]|<p><q>|\n||\n"},
		{`table {{.Name}}\t{{.Deep.Size}}`, "NAME       SIZE\na          1152921504606846976\nlong-name  0\n"},
		{"plain", "plain\nplain\n"},
		{"{{.Nope}}", "error: there is no field Nope"},
		{"{{.Name.X}}", "error: there is no field X"},
		{"{{.Name", "error: {{ without }}"},
		{"{{if eq .Name \"a\"}}x{{else if .DNSEnabled}}y{{else}}z{{end}}", "x\ny\n"},
		{"{{if .Nope}}x{{else}}y{{end}}", "y\ny\n"},
		{"{{if and .DNSEnabled (not .List)}}x{{end}}|{{or .List .Name}}", "|[p q]\nx|long-name\n"},
		{"{{range $k, $v := .Labels}}{{$k}}={{$v}}{{else}}none{{end}}", "x=1y=2\nnone\n"},
		{"{{range $i, $v := .List}}{{if $i}}, {{end}}{{$v}}{{end}}", "p, q\n\n"},
		{"{{index .Labels \"x\"}}{{.Label \"y\"}}", "12\n\n"},
		{"{{with .List}}{{index . 1}}{{end}}{{$.Name}}", "qa\nlong-name\n"},
		{"{{(index .List 2)}}", "error: index: 2 is not within a list of 2"},
		{"{{join .List \"-\" | upper | printf \"%-4s|\"}}{{len .List}}", "P-Q |2\n    |0\n"},
		{"{{$x := .Name}}{{range .List}}{{$x}}{{.}} {{- end -}} !", "apaq!\n!\n"},
		{"{{.Labels}}{{/* no */}}{{slice .Name 0 1}}{{truncate .Name 3}}", "map[x:1 y:2]aa\nllon\n"},
		{`{{print "}}" 'x}}`, "error: {{'x}} is not known"},
		{`{{"}}"}}{{json .List}}`, "}}[\"p\",\"q\"]\n}}null\n"},
		{"{{nope .Name}}", "error: {{nope}} is not known"},
		{"{{.Name .List}}", "error: a value that is no function has arguments"},
		{"{{if .Name}}x", "error: {{if}} without {{end}}"},
		{"{{(.Name}}", "error: ( without )"},
		{"{{.Name | }}", "error: a value is missing"},
		{"{{$y}}", "error: there is no variable $y"},
		{"table {{.Name}} {{.DNSEnabled}} {{.List}}", "NAME       DNSENABLED  LIST\na          false       [p q]\nlong-name  true        \n"},
		{"{{range .List}}", "error: {{range}} without {{end}}"},
		{"x{{end}}", "error: {{end}} ends nothing"},
		{"{{.Labels.x}}{{if .Labels.nope}}no{{end}}{{eq .Labels.nope \"\"}}", "1false\n<no value>false\n"},
		{"{{.Labels.nope.x}}", "error: there is no field x"},
		{"{{.State.Healthcheck.Status}}", "healthy\n\n"},
		{"{{.State.StartedAt.Unix}} {{.State.StartedAt.Format \"2006-01\"}}", "1798761599 2026-12\n-62135596800 0001-01\n"},
		{"{{.Name.Unix}}", "error: \"a\" is no time"},
		{"{{.Name.Format \"2006\"}}", "error: \"a\" is no time"},
	} {
		var b bytes.Buffer
		err := Rows(&b, tt.template, rows())
		got := b.String()
		if err != nil {
			got = "error: " + err.Error()[strings.Index(err.Error(), `": `)+3:]
		}
		if got != tt.want && !(err != nil && strings.HasPrefix(got, tt.want)) {
			t.Errorf("%q: got %q, want %q", tt.template, got, tt.want)
		}
	}
}

// named has a field of its own for templates.
type named struct {
	ID    string `json:"Id"`
	State string
}

func (n named) Fields() map[string]any {
	fields := map[string]any{"ID": n.ID[:2], "RunningFor": 3}
	if part := (named{"efgh", "<"}); n != part {
		fields["Part"], fields["List"] = part, []any{part}
	}
	return fields
}

func TestNamed(t *testing.T) {
	for _, tt := range []struct{ template, want string }{
		{"{{.ID}} {{.Id}} {{.State}} {{.RunningFor}}", "ab abcd up 3\n"},
		{"{{json .}}", "{\"Id\":\"abcd\",\"State\":\"up\"}\n"},
		{"{{.Part.ID}} {{.Part.Id}} {{.Part.runningfor}} {{range .List}}{{.RunningFor}}{{end}}", "ef efgh 3 3\n"},
		{"{{json .Part}} {{json .List}}", "{\"Id\":\"efgh\",\"State\":\"<\"} [{\"Id\":\"efgh\",\"State\":\"<\"}]\n"},
		{"{{.Part}} {{println .List}}", "map[Id:efgh State:<] [map[Id:efgh State:<]]\n\n"},
		{"table {{.ID}}\t{{.RunningFor}}", "THE ID  RUNNING FOR\nab      3\n"},
	} {
		var b bytes.Buffer
		err := RowsUnder(&b, tt.template, map[string]string{"ID": "THE ID"}, []named{{"abcd", "up"}})
		if err != nil || b.String() != tt.want {
			t.Errorf("%q: got %q (%v), want %q", tt.template, b.String(), err, tt.want)
		}
	}
	var b bytes.Buffer
	if err := RowsUnder(&b, "table {{.ID}}", map[string]string{"": ""}, []named{{"abcd", "up"}}); err != nil || b.String() != "ab\n" {
		t.Errorf("without headings: got %q, %v", b.String(), err)
	}
}

func FuzzRows(f *testing.F) {
	f.Add("{{range .List}}{{json .}}{{end}}")
	f.Fuzz(func(t *testing.T, template string) { Rows(&bytes.Buffer{}, template, rows()) })
}
