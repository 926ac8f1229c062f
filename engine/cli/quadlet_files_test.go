package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-pods/berth/generator"
)

// buildGenerator makes the program whose reading of directories the commands must agree with.
func buildGenerator(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "berth-generator")
	cmd := exec.Command("go", "build", "-o", program, "../../generator/berth-generator")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// generatorSays runs the generator dry and returns its messages, without what stands before each.
func generatorSays(t *testing.T, program string, env []string, args ...string) []string {
	t.Helper()
	cmd := exec.Command(program, append([]string{"-dryrun"}, args...)...)
	var said bytes.Buffer
	cmd.Env, cmd.Stderr = env, &said
	cmd.Run() // files with errors make it fail
	var lines []string
	for line := range strings.Lines(said.String()) {
		_, text, _ := strings.Cut(strings.TrimSpace(line), "]: ")
		lines = append(lines, text)
	}
	return lines
}

// TestReadsAsGenerator: the commands see the files that the generator reads, in its order.
func TestReadsAsGenerator(t *testing.T) {
	program := buildGenerator(t)
	dir := t.TempDir()
	for _, path := range []string{
		"one/b.container", "one/a.volume", "one/.hidden.volume", "one/sub/c.pod", "one/sub/deep/d.network", "one/note.txt",
		"one/x.container.d/10.conf", "one/y.d/z.container", "one/apps.quadlets", "two/b.container", "linked/e.image",
		"one/dir.container/f.volume",
	} {
		at := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"one/link": dir + "/linked", "one/sub/loop": dir + "/one", "one/gone.volume": "/nowhere", "one/off.volume": "/dev/null",
		"one/again.volume": "a.volume",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "one/pipe.volume"), 0o600); err != nil {
		t.Fatal(err)
	}
	list := dir + "/one:" + dir + "/two:" + dir + "/one:relative:" + dir + "/linked"
	t.Setenv("QUADLET_UNIT_DIRS", list)

	want := []string{dir + "/one/gone.volume"} // a link to nothing is taken without being loaded
	for _, line := range generatorSays(t, program, []string{"QUADLET_UNIT_DIRS=" + list}) {
		if path, ok := strings.CutPrefix(line, "Loading source unit file "); ok {
			want = append(want, path)
		}
	}
	var got []string
	for _, s := range readUnitDirs(searchDirs(false)).set.Files {
		got = append(got, strings.Replace(s.Path, "/one/link/", "/linked/", 1)) // the generator names resolved directories
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("read are\n%s\nthe generator reads\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestSearchesAsGenerator: the generator lists its directories when none of them has a file.
func TestSearchesAsGenerator(t *testing.T) {
	program := buildGenerator(t)
	home := t.TempDir()
	t.Setenv("QUADLET_UNIT_DIRS", "")
	for _, c := range []struct {
		name string
		user bool
		env  map[string]string
	}{
		{"system", false, map[string]string{"HOME": home, "XDG_CONFIG_HOME": "", "XDG_RUNTIME_DIR": ""}},
		{"user", true, map[string]string{"HOME": home, "XDG_CONFIG_HOME": "", "XDG_RUNTIME_DIR": home + "/run"}},
		{"config", true, map[string]string{"HOME": home, "XDG_CONFIG_HOME": home + "/conf", "XDG_RUNTIME_DIR": ""}},
		{"homeless", true, map[string]string{"HOME": "", "XDG_CONFIG_HOME": "", "XDG_RUNTIME_DIR": ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var env, args []string
			for name, value := range c.env {
				t.Setenv(name, value)
				env = append(env, name+"="+value)
			}
			if c.user {
				args = []string{"-user"}
			}
			want := ""
			for _, line := range generatorSays(t, program, env, args...) {
				if list, ok := strings.CutPrefix(line, "No files parsed from "); ok {
					want = list
				}
			}
			if want == "" {
				t.Skip("this computer has unit files of its own")
			}
			if got := "[" + strings.Join(searchDirs(c.user).paths, " ") + "]"; got != want {
				t.Errorf("searched are %s, the generator searches %s", got, want)
			}
		})
	}
}

// TestSplitsAsGenerator: a bundle has the same parts here and in the generator.
func TestSplitsAsGenerator(t *testing.T) {
	for _, text := range []string{
		"# FileName=a\n[Volume]\n---\n# FileName=b\n[Volume]\n",
		"---\n---\n# FileName=a\n[Volume]\n---",
		"  ---  \n#FileName = a \n[volume]\n[Volume]\n",
		"# FileName=a\n[Unit]\n[Network]\n[Pod]\n",
		"# FileName=a.b\r\n[Volume]\r\n---\r\n# FileName=c\r\n[Volume]\r\n",
		"# FileName=\n# FileName=a\n[Volume]\n",
		"; FileName=a\n[Volume]\n",
		"[Volume]\n",
		"# FileName=a/b\n[Volume]\n",
		"",
		"\n\n---\n\n",
	} {
		var want, got []string
		wrong := false
		set := generator.Set{Files: []generator.Source{{Name: "x.quadlets", Path: "/x.quadlets", Text: text}}}
		generator.Generate(generator.Config{}, set, func(out *generator.Output) {
			if out.Name == "" {
				wrong = true
				return
			}
			want = append(want, out.Name)
		})
		parts, err := splitBundle(text)
		for _, p := range parts {
			set := generator.Set{Files: []generator.Source{{Name: p.name, Path: "/" + p.name, Text: p.text}}}
			generator.Generate(generator.Config{}, set, func(out *generator.Output) { got = append(got, out.Name) })
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) || wrong != (err != nil) {
			t.Errorf("%q: parts %q, error %v; the generator has %q, error %t", text, got, err, want, wrong)
		}
	}
}

func TestCheckFileName(t *testing.T) {
	for name, good := range map[string]bool{
		"web.container": true, ".env": true, "a b.volume": true,
		"": false, ".": false, "..": false, "a/b": false, `a\b`: false, "a\nb": false, "a\x00b": false, ".web.app": false,
		".web.container.asset": false, strings.Repeat("x", 256): false,
	} {
		if err := checkFileName(name); (err == nil) != good {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

// FuzzSplitBundle: no name leaves the directory, and no line is lost but the separators.
func FuzzSplitBundle(f *testing.F) {
	f.Add("# FileName=a\n[Volume]\n---\n# FileName=../b\n[Pod]\n")
	f.Fuzz(func(t *testing.T, text string) {
		parts, _ := splitBundle(text)
		lines := strings.Count(text, "\n")
		for _, p := range parts {
			if filepath.Base(p.name) != p.name || checkFileName(p.name) != nil || p.skipped > lines {
				t.Errorf("%q: part %q after %d lines", text, p.name, p.skipped)
			}
			if !strings.Contains(text, p.text) {
				t.Errorf("%q: part %q is not in it", text, p.text)
			}
		}
	})
}
