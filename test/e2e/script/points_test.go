package script

import "testing"

func TestPoints(t *testing.T) {
	var p Points
	if got := p.Table(); got != "" {
		t.Errorf("a table of nothing: %q", got)
	}
	p.Add("nspawn/01-other", Result{Output: []byte("fine\nno tally: 7 points, 0 failures, 0 leaks\n")})
	p.Add("nspawn/22-faults", Result{Output: []byte("== a\ntally: 28 points, 0 failures, 0 leaks\n== b\ntally: 2 points, 0 failures, 0 leaks\n")})
	p.Add("nspawn/65-faults", Result{Outcome: Failed, Output: []byte("tally: 17 points, 1 failures, 2 leaks\nFAIL: 1 failures and 2 leaks, see above\n")})
	p.Add("nspawn/67-soak", Result{Outcome: Failed, Output: []byte("tally: 12 points, 0 failures, 0 leaks\nFAIL: after that\n")})
	want := `interrupted:                            points failures    leaks
interrupted: nspawn/22-faults               30        0        0
interrupted: nspawn/65-faults               17        1        2
interrupted: nspawn/67-soak                 12        1        0
interrupted: all                            59        2        2
`
	if got := p.Table(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
