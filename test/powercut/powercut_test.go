package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// logOf writes a log as the recorder does.
func logOf(sector int64, writes ...write) []byte {
	var b bytes.Buffer
	pad := func() {
		for int64(b.Len())%sector != 0 {
			b.WriteByte(0)
		}
	}
	binary.Write(&b, binary.LittleEndian, header{logMagic, logVersion, uint64(len(writes)), uint32(sector)})
	pad()
	for _, w := range writes {
		n := max(int64(len(w.data)), w.discard)
		binary.Write(&b, binary.LittleEndian, entryHeader{uint64(w.offset / sector), uint64(n / sector), w.flags, 0})
		pad()
		b.Write(w.data)
		pad()
	}
	return b.Bytes()
}

func filled(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

func TestReadLog(t *testing.T) {
	want := []write{
		{offset: 4096, data: filled('a', 512)},
		{flags: flagFlush},
		{offset: 8192, data: filled('b', 8192), flags: flagFUA},
		{offset: 0, discard: 1 << 20, flags: flagDiscard},
		{flags: flagFlush},
	}
	for _, sector := range []int64{512, 4096} {
		if sector == 4096 {
			want[0].data = filled('a', 4096)
		}
		got, err := readLog(bytes.NewReader(logOf(sector, want...)))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("sectors of %d: %v, got\n%v", sector, err, got)
		}
	}
}

func TestReadLogRefuses(t *testing.T) {
	good := logOf(512, write{data: filled('a', 1024)}, write{flags: flagFlush})
	edit := func(at int, value ...byte) []byte {
		b := slices.Clone(good)
		copy(b[at:], value)
		return b
	}
	for name, c := range map[string]struct {
		log  []byte
		want string
	}{
		"nothing":        {nil, "header"},
		"something else": {edit(0, 'x'), "no log"},
		"version":        {edit(8, 2), "version 2"},
		"sectors of 0":   {edit(24, 0, 0), "sectors of 0"},
		"odd sectors":    {edit(24, 1, 2), "sectors of 513"},
		"cut in data":    {good[:1500], "entry 1 of 2"},
		"cut in a head":  {good[:len(good)-100], "entry 2 of 2"},
		"huge":           {edit(512+8, 0, 0, 0, 1), "are no write"},
		"with a length":  {edit(512+24, 1), "are no write"},
	} {
		if _, err := readLog(bytes.NewReader(c.log)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func FuzzReadLog(f *testing.F) {
	f.Add(logOf(512, write{data: filled('a', 1024)}, write{flags: flagFlush}, write{discard: 512, flags: flagDiscard}))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := readLog(bytes.NewReader(data))
		total := 0
		for _, w := range list {
			total += len(w.data)
		}
		if err == nil && total > len(data) {
			t.Errorf("%d bytes of writes in a log of %d", total, len(data))
		}
	})
}

// TestDisk writes at random to a disk in memory and to a plain array, and reads images back.
func TestDisk(t *testing.T) {
	const size = 16 * pageSize
	random := rand.New(rand.NewPCG(1, 2))
	d, want := &disk{size: size, pages: map[int64][]byte{}}, make([]byte, size)
	path := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range 200 {
		at := random.IntN(size/unit) * unit
		n := min(random.IntN(5*pageSize/unit)*unit, size-at)
		w := write{offset: int64(at), data: filled(byte(i), n)}
		if i%4 == 0 {
			w = write{offset: int64(at), discard: int64(n), flags: flagDiscard}
		}
		before := d.clone()
		d.apply(w)
		copy(want[at:at+n], w.data)
		if w.data == nil {
			clear(want[at : at+n])
		}
		if i%20 != 0 {
			continue
		}
		for _, at := range []*disk{before, d} { // d comes last, over another image
			if err := at.save(f); err != nil {
				t.Fatal(err)
			}
		}
		if got, _ := os.ReadFile(path); !bytes.Equal(got, want) {
			t.Fatalf("after write %d the image is another one", i)
		}
		again, err := readDisk(f)
		if err != nil || !reflect.DeepEqual(again, d) {
			t.Fatalf("after write %d the image is read as another disk: %v", i, err)
		}
	}
}

func markAt(line string) write {
	block := make([]byte, pageSize)
	if err := markBlock(block[:markSize], line); err != nil {
		panic(err)
	}
	return write{offset: marksOffset, data: block}
}

// TestStates replays a small log: what is on the disk at each point, and what had been promised.
func TestStates(t *testing.T) {
	page := func(n int, b byte) write { return write{offset: int64(n) * pageSize, data: filled(b, pageSize)} }
	log := []write{
		page(0, 'a'), page(1, 'b'), {flags: flagFlush}, // 0 1 2
		markAt("have volume v"), page(0, 'c'), page(1, 'd'), // 3 4 5
		{flags: flagFlush}, markAt("maybe volume v"), page(2, 'e'), // 6 7 8
	}
	r := replay{
		base: &disk{size: marksOffset + marksSize, pages: map[int64][]byte{}}, log: log,
		marks: marksOffset, from: 3, every: 1, shuffles: 8, seed: 7,
	}
	mixed := map[string]bool{}
	var got []string
	err := r.states(func(s state) error {
		text := ""
		for n := range int64(3) {
			if p := s.disk.pages[n]; p != nil {
				text += string(p[:1])
			} else {
				text += "-"
			}
		}
		if strings.Contains(s.name, "mixed") {
			mixed[text] = true
			return nil
		}
		got = append(got, fmt.Sprintf("%s %s %v", s.name, text, s.promise.wants("volume")))
		return nil
	})
	want := []string{
		"write 3 ab- [v]", "write 4 cb- [v]", "write 5 cd- [v]", "write 6 cd- [v]", "write 7 cd- []", "write 8 cde []",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, got\n%s", err, strings.Join(got, "\n"))
	}
	for text := range mixed {
		if !slices.Contains([]string{"ab-", "cb-", "ad-", "cd-"}, text) {
			t.Errorf("%s can never be on the disk", text)
		}
	}
	if !mixed["ad-"] {
		t.Errorf("a later write is never there without the one before it: %v", mixed)
	}
}

func TestMarks(t *testing.T) {
	p := newPromise()
	for _, line := range []string{"have image a:1", "have image b", "ledger l 3", "maybe image b", "ledger l 4", "have volume b"} {
		if err := p.add(line); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.wants("image"); !slices.Equal(got, []string{"a:1"}) || p.ledger["l"] != 4 {
		t.Errorf("images %v, ledgers %v", got, p.ledger)
	}
	for _, line := range []string{"", "have it", "lose image b", "ledger l x"} {
		if err := p.add(line); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
}

func TestCheckLedger(t *testing.T) {
	for _, c := range []struct {
		data     string
		promised int
		ok       bool
	}{
		{"", 0, true}, {"1\n2\n3\n", 3, true}, {"1\n2\n3\n", 2, true}, {"1\n2\n3", 2, true}, {"1\n2\n\x00\x00", 2, true},
		{"", 1, false}, {"1\n2\n", 3, false}, {"1\n3\n", 1, false}, {"1\n2\n3", 3, false}, {"1\n\x00\x00\n", 1, false},
	} {
		if err := checkLedger([]byte(c.data), c.promised); (err == nil) != c.ok {
			t.Errorf("%q with %d promised: %v", c.data, c.promised, err)
		}
	}
}

func TestTornFiles(t *testing.T) {
	at := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(at, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("containers/good.json", "{}")
	write("containers/.beside.json.1", "")
	write("containers/volumes/v/_data/users.json", "{")
	write("containers/volatile-layers.json", "")
	write("containers/overlay/l/diff/image.json", "")
	if wrong := tornFiles(at); len(wrong) > 0 {
		t.Errorf("wrong: %v", wrong)
	}
	write("containers/empty.json", "")
	write("etc/half.json", `{"a":`)
	write("containers/volatile-containers.json", "[{")
	if wrong := tornFiles(at); len(wrong) != 3 {
		t.Errorf("of three torn files: %v", wrong)
	}
}

func TestVerdict(t *testing.T) {
	for name, c := range map[string]struct {
		r  result
		ok bool
	}{
		"all is well":        {result{states: 5, controls: 1}, true},
		"one is damaged":     {result{states: 5, controls: 1, failures: 1}, false},
		"it sees nothing":    {result{states: 5}, false},
		"nothing was looked": {result{}, false},
	} {
		if err := c.r.verdict(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
