package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string
		ok             bool
	}{
		{"leaves count, parents do not", `{"Action":"pass","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Test":"A/x"}
{"Action":"pass","Package":"p","Test":"A/y"}
{"Action":"pass","Package":"p"}`, "2 passed, 0 failed, 0 skipped\n", true},
		{"a failure is shown whole", `{"Action":"output","Package":"p","Test":"B","Output":"b_test.go:1: wrong\n"}
{"Action":"fail","Package":"p","Test":"B"}
{"Action":"fail","Package":"p"}`, "FAIL p B\nb_test.go:1: wrong\n0 passed, 1 failed, 0 skipped\n", false},
		{"a skip says why", `{"Action":"output","Package":"p","Test":"C","Output":"    c_test.go:7: needs root\n"}
{"Action":"skip","Package":"p","Test":"C"}
{"Action":"pass","Package":"p","Test":"D"}`, "skip p C: needs root\n1 passed, 0 failed, 1 skipped\n", true},
		{"a package that does not build has failed", `{"Action":"build-output","ImportPath":"p","Output":"x.go:1: no\n"}
{"Action":"build-fail","ImportPath":"p"}`, "FAIL p\nx.go:1: no\n0 passed, 1 failed, 0 skipped\n", false},
		{"a program that ends in the middle shows its last words", `{"Action":"pass","Package":"p","Test":"G"}
{"Action":"output","Package":"p","Test":"H","Output":"=== RUN H\n"}
{"Action":"output","Package":"p","Test":"H","Output":"panic: no\n"}
{"Action":"output","Package":"p","Output":"FAIL p 1s\n"}
{"Action":"fail","Package":"p"}`, "FAIL p H\n=== RUN H\npanic: no\n1 passed, 1 failed, 0 skipped\n", false},
		{"a parent that fails by itself", `{"Action":"pass","Package":"p","Test":"E/x"}
{"Action":"fail","Package":"p","Test":"E"}`, "FAIL p E\n1 passed, 1 failed, 0 skipped\n", false},
		{"a table is passed on", `{"Action":"pass","Package":"p","Test":"F"}
{"Action":"output","Package":"p","Output":"interrupted: all 7 points\n"}
{"Action":"output","Package":"p","Output":"e2e: 1 passed\n"}
{"Action":"pass","Package":"p"}`, "interrupted: all 7 points\n1 passed, 0 failed, 0 skipped\n", true},
		{"no test is no success", ``, "0 passed, 0 failed, 0 skipped\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			s := newSummary(&out, false)
			if err := s.read(strings.NewReader(tt.in)); err != nil {
				t.Fatal(err)
			}
			if ok := s.print(); ok != tt.ok || out.String() != tt.want {
				t.Errorf("ok = %v, printed\n%s\nwant %v and\n%s", ok, out.String(), tt.ok, tt.want)
			}
		})
	}
}
