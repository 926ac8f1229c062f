package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

func TestLogTime(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for word, want := range map[string]string{
		"10m": "2026-01-31T11:50:00Z", "1h30m": "2026-01-31T10:30:00Z", "1769860800": "2026-01-31T12:00:00Z", "1769860800.5": "2026-01-31T12:00:00.5Z",
		"2026-01-30": "2026-01-30T00:00:00Z", "2026-01-30T01:02:03": "2026-01-30T01:02:03Z", "2026-01-30T01:02:03.4+02:00": "2026-01-29T23:02:03.4Z", "2026-01-30 01:02:03": "2026-01-30T01:02:03Z",
	} {
		got, err := logTime(word, now)
		if err != nil || got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%q: %v, %v; want %s", word, got, err, want)
		}
	}
	if got, err := logTime("", now); err != nil || !got.IsZero() {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := logTime("soon", now); err == nil {
		t.Error(`"soon" was taken`)
	}
}

func TestLogTimes(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for until, want := range map[string]string{"10m": "12:10:00 true", "-10m": "11:50:00 false", "2026-01-31T11:00:00": "11:00:00 false", "": "00:00:00 true"} {
		o := logsOptions{follow: true, until: until}
		if err := o.times(now); err != nil || fmt.Sprint(o.to.Format(time.TimeOnly), " ", o.follow) != want {
			t.Errorf("--until=%s: %v, follow %t, %v; want %s", until, o.to, o.follow, err, want)
		}
	}
}

// Of a container that was made after the time that lines are wanted up to there are none.
func TestJournalUntilBefore(t *testing.T) {
	var out bytes.Buffer
	env := &Env{Out: &out, Err: &out, Run: journal([]string{`{"MESSAGE":"a","PRIORITY":"6","__REALTIME_TIMESTAMP":"1"}`})}
	s := engine.State{ID: "abc", Name: "web", Created: time.Unix(100, 0)}
	for to, want := range map[int64]string{99: "", 101: "a\n"} {
		out.Reset()
		p := &logPrinter{o: logsOptions{tail: -1, to: time.Unix(to, 0)}, out: &out, err: &out}
		if err := printJournal(t.Context(), env, s, p); err != nil || out.String() != want {
			t.Errorf("up to %d: %q, %v; want %q", to, out.String(), err, want)
		}
	}
}

func TestJournalArgs(t *testing.T) {
	s := engine.State{ID: "abc", Unit: "web.service", Created: time.Unix(100, 7000)}
	if got := journalArgs(s, logsOptions{tail: -1}, false, ""); !slices.Contains(got, "_SYSTEMD_UNIT=web.service") || !slices.Contains(got, "--since=@100.000007") {
		t.Errorf("%q", got)
	}
	if got := journalArgs(s, logsOptions{tail: -1}, true, ""); !slices.Contains(got, "_SYSTEMD_USER_UNIT=web.service") {
		t.Errorf("a user's: %q", got)
	}
	s.Kept = true
	got := strings.Join(journalArgs(s, logsOptions{tail: 5, follow: true, from: time.Unix(200, 0), to: time.Unix(300, 0)}, true, ""), " ")
	for _, want := range []string{"CONTAINER_ID_FULL=abc", "--since=@200.000000", "--until=@300.000000", "--follow --no-tail"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s: no %s", got, want)
		}
	}
	got = strings.Join(journalArgs(s, logsOptions{follow: true}, true, "c1"), " ")
	if !strings.Contains(got, "--after-cursor=c1") || strings.Contains(got, "--since") || strings.Contains(got, "--lines") {
		t.Errorf("after an entry: %s", got)
	}
}

// journal answers as journalctl does with these entries.
func journal(entries []string) proc.Runner {
	return func(_ context.Context, c proc.Command) ([]byte, error) {
		var asked []string
		for i, e := range entries {
			asked = append(asked, strings.Replace(e, "{", fmt.Sprintf(`{"__CURSOR":"c%d",`, i), 1))
			if slices.Contains(c.Args, fmt.Sprintf("--after-cursor=c%d", i)) {
				asked = nil
			}
		}
		if slices.Contains(c.Args, "--reverse") {
			slices.Reverse(asked)
		}
		for _, e := range asked {
			if _, err := io.WriteString(c.Stdout, e+"\n"); err != nil {
				return nil, &proc.ExitError{Program: "journalctl", Code: 128 + 13}
			}
		}
		return nil, nil
	}
}

// TestTail: lines are counted, whatever they are made of, in the journal as in a file.
func TestTail(t *testing.T) {
	part := func(s string) logLine { return logLine{text: []byte(s), partial: true} }
	whole := func(s string) logLine { return logLine{text: []byte(s)} }
	ended := []logLine{whole("one\n"), part("two "), part("and "), whole("a half\n"), whole("three\n")}
	open := []logLine{part("one "), whole("line\n"), part("half "), part("a line")}
	for _, tt := range []struct {
		name  string
		lines []logLine
		tail  int
		want  string
	}{
		{"none", ended, 0, ""},
		{"one", ended, 1, "three\n"},
		{"a long one", ended, 2, "two and a half\nthree\n"},
		{"all", ended, 3, "one\ntwo and a half\nthree\n"},
		{"more than there are", ended, 9, "one\ntwo and a half\nthree\n"},
		{"none of an open one", open, 0, ""},
		{"an open one", open, 1, "half a line"},
		{"the one before", open, 2, "one line\nhalf a line"},
		{"of nothing", nil, 1, ""},
	} {
		var file lastLines
		entries := []string{`{"MESSAGE":"","BERTH_EVENT":"start"}`}
		for _, l := range tt.lines {
			file.add(l, tt.tail)
			text := strings.TrimSuffix(string(l.text), "\n")
			entries = append(entries, fmt.Sprintf(`{"MESSAGE":%q,"CONTAINER_PARTIAL_MESSAGE":"%t"}`, text, l.partial), `{"BERTH_EVENT":"exec"}`)
		}
		got := ""
		for _, l := range file.parts {
			got += string(l.text)
		}
		if got != tt.want {
			t.Errorf("%s, of a file: %q, want %q", tt.name, got, tt.want)
		}
		for _, follow := range []bool{false, true} {
			var out bytes.Buffer
			env := &Env{Out: &out, Err: &out, Run: journal(entries)}
			s := engine.State{ID: strings.Repeat("ab", 32), Name: "web", Unit: "web.service", Kept: true}
			p := &logPrinter{o: logsOptions{tail: tt.tail, follow: follow}, out: &out, err: &out}
			if err := printLogs(t.Context(), env, s, p); err != nil || out.String() != tt.want {
				t.Errorf("%s, of the journal, follow %t: %q, %v; want %q", tt.name, follow, out.String(), err, tt.want)
			}
		}
	}
}

func TestPrintJournal(t *testing.T) {
	entries := `{"MESSAGE":"one","PRIORITY":"6","__REALTIME_TIMESTAMP":"1769860800000001"}
{"MESSAGE":"lo","CONTAINER_PARTIAL_MESSAGE":"true","PRIORITY":"6","__REALTIME_TIMESTAMP":"1769860800000002"}
{"MESSAGE":"ng","PRIORITY":"6","__REALTIME_TIMESTAMP":"1769860800000003"}
{"MESSAGE":[255,10,66],"PRIORITY":"3","__REALTIME_TIMESTAMP":"1769860800000004"}
{"MESSAGE":null,"PRIORITY":"6","__REALTIME_TIMESTAMP":"1769860800000005"}
`
	var out, errs bytes.Buffer
	env := &Env{Out: &out, Err: &errs, Run: func(_ context.Context, c proc.Command) ([]byte, error) {
		for _, part := range []string{entries[:50], entries[50:]} { // entries may come in pieces
			if _, err := c.Stdout.Write([]byte(part)); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}}
	s := engine.State{ID: strings.Repeat("ab", 32), Name: "web", Unit: "web.service", Kept: true}
	p := &logPrinter{o: logsOptions{tail: -1, names: true}, out: &out, err: &errs}
	if err := printLogs(context.Background(), env, s, p); err != nil {
		t.Fatal(err)
	}
	if out.String() != "web one\nweb long\nweb \n" || errs.String() != "web \xff\nB\n" {
		t.Errorf("%q and %q", out.String(), errs.String())
	}
	out.Reset()
	if err := printAll(context.Background(), env, []engine.State{{ID: "cd", Log: spec.Log{Driver: spec.LogK8sFile}}, s}, logsOptions{tail: -1, color: true}); err != nil {
		t.Fatal(err)
	}
	if out.String() != "\x1b[32mone\x1b[m\n\x1b[32mlo\x1b[m\x1b[32mng\x1b[m\n\x1b[32m\x1b[m\n" {
		t.Errorf("in the second colour: %q", out.String())
	}
}

// Who follows has had enough at some time: nothing is said of how journalctl has ended.
func TestFollowInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	env := &Env{Run: func(context.Context, proc.Command) ([]byte, error) {
		cancel()
		return nil, &proc.ExitError{Program: "journalctl", Code: 137}
	}}
	list := []engine.State{{ID: "ab", Unit: "web.service", Kept: true}, {ID: "cd", Log: spec.Log{Driver: spec.LogK8sFile, Path: "/does/not/exist"}}}
	if err := printAll(ctx, env, list, logsOptions{tail: -1, follow: true}); err != context.Canceled {
		t.Error(err)
	}
}

// TestWatchInterrupted: nor is it of what else goes on until it is interrupted; the exit status tells of that.
func TestWatchInterrupted(t *testing.T) {
	emptyRun(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	env := &Env{Out: io.Discard, Err: io.Discard, Run: func(context.Context, proc.Command) ([]byte, error) {
		return nil, fmt.Errorf("journalctl: %w", context.Canceled)
	}}
	for name, err := range map[string]error{
		"events": runEvents(ctx, env, nil), "stats": runStats(ctx, env, nil), "pod stats": runPodStats(ctx, env, nil), "ps --watch": runPs(ctx, env, []string{"--watch", "9"}),
	} {
		if err != context.Canceled {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPrintFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ctr.log")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(path+".1", "2026-01-31T12:00:00.000000001Z stdout F one\n2026-01-31T12:00:01.000000000Z stderr F two\n")
	write(path, "2026-01-31T13:00:02.000000000+01:00 stdout P thr\n2026-01-31T12:00:03.000000000Z stdout F ee\nnonsense\n2026-01-31T12:00:04.000000000Z stdout F four \n2026-01-31T12:00:05.00")
	s := engine.State{ID: strings.Repeat("ab", 32), Name: "web", Log: spec.Log{Driver: spec.LogK8sFile, Path: path}}
	at := func(second int) time.Time { return time.Date(2026, 1, 31, 12, 0, second, 0, time.UTC) }
	tests := []struct {
		name      string
		o         logsOptions
		out, errs string
	}{
		{"all", logsOptions{tail: -1}, "one\nthree\nfour \n", "two\n"},
		{"the last", logsOptions{tail: 2}, "three\nfour \n", ""},
		{"none", logsOptions{tail: 0}, "", ""},
		{"more than there are", logsOptions{tail: 9}, "one\nthree\nfour \n", "two\n"},
		{"since", logsOptions{tail: -1, from: at(1)}, "three\nfour \n", "two\n"},
		{"until", logsOptions{tail: -1, to: at(1)}, "one\n", "two\n"},
		{"times", logsOptions{tail: 1, timestamps: true}, "2026-01-31T12:00:04.000000000Z four \n", ""},
		{"several", logsOptions{tail: 1, prefixed: true}, "abababababab four \n", ""},
		{"followed to the end", logsOptions{tail: -1, follow: true}, "one\nthree\nfour \n", "two\n"},
	}
	for _, tt := range tests {
		var out, errs bytes.Buffer
		p := &logPrinter{o: tt.o, out: &out, err: &errs}
		if err := printLogs(context.Background(), &Env{}, s, p); err != nil {
			t.Fatal(err)
		}
		if out.String() != tt.out || errs.String() != tt.errs {
			t.Errorf("%s: %q and %q", tt.name, out.String(), errs.String())
		}
	}
	for driver, want := range map[string]string{spec.LogNone: "keeps no log", spec.LogPassthrough: "terminal or file"} {
		s := engine.State{Name: "web", Log: spec.Log{Driver: driver}}
		if err := printLogs(context.Background(), &Env{}, s, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", driver, err)
		}
	}
}

// FuzzEntry: whoever may write into a journal or a log file can stop nobody from reading it.
func FuzzEntry(f *testing.F) {
	for _, s := range []string{
		`{"MESSAGE":"a","PRIORITY":"3","__REALTIME_TIMESTAMP":"1"}`, `{"MESSAGE":[104,255,70000]}`, `{"MESSAGE":null,"__REALTIME_TIMESTAMP":"-9223372036854775808"}`, `{"BERTH_EVENT":"died,remove","BERTH_EXIT_CODE":"x"}`,
		`{"BERTH_EVENT":["a"],"BERTH_ATTRIBUTES":"{"}`, "2024-01-01T00:00:00Z stdout F text", "  ", "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, row []byte) {
		if _, _, err := parseEntry(row); err != nil && err.Error() == "" {
			t.Error("an error without a word")
		}
		list, _ := parseEvent(row)
		for _, e := range list {
			if e.Status == "" {
				t.Errorf("%q is an event without a name", row)
			}
		}
		parseFileLine(row)
	})
}
