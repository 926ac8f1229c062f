package format

import (
	"bytes"
	"strings"
	"testing"
)

type row struct {
	Name   string            `json:"name"`
	DNS    bool              `json:"dns_enabled"`
	Labels map[string]string `json:"labels"`
	List   []string          `json:"list"`
	Deep   struct{ Size int64 }
}

func rows() []row {
	r := row{Name: "a", Labels: map[string]string{"y": "2", "x": "1"}, List: []string{"p", "q"}}
	r.Deep.Size = 1 << 60
	return []row{r, {Name: "long-name", DNS: true}}
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
		{"{{if .Name}}x{{end}}", "error: {{if .Name}} is not known"},
		{"{{range .List}}", "error: {{range}} without {{end}}"},
		{"x{{end}}", "error: {{end}} ends nothing"},
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

func FuzzRows(f *testing.F) {
	f.Add("{{range .List}}{{json .}}{{end}}")
	f.Fuzz(func(t *testing.T, template string) { Rows(&bytes.Buffer{}, template, rows()) })
}
