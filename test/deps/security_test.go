package deps_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityNamesTests: each test and script that SECURITY.md names is there. A name that ends in … is the beginning
// of one.
func TestSecurityNamesTests(t *testing.T) {
	const root = "../.."
	page, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == ".cache" {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, "_test.go") {
			text, err := os.ReadFile(path)
			tests.Write(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\bTest\w+…?|[^\s,]*…Race|\b\d\d-[a-z]+\b`).FindAllString(string(page), -1)
	if len(names) < 30 {
		t.Fatalf("only %d names were found", len(names))
	}
	for _, name := range names {
		begin := strings.TrimSuffix(name, "…")
		switch {
		case strings.HasSuffix(name, "…Race"):
			if !regexp.MustCompile(`func Test\w+Race\(`).MatchString(tests.String()) {
				t.Error("there are no tests of races")
			}
		case !strings.HasPrefix(name, "Test"):
			if _, err := os.Stat(filepath.Join(root, "test/e2e/scripts", name+".sh")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case begin == name && !strings.Contains(tests.String(), "func "+name+"("), !strings.Contains(tests.String(), "func "+begin):
			t.Errorf("SECURITY.md names %s, which is not there", name)
		}
	}
}
